//! The arguments that `speak` and `plan` share: the text, the voice and the clock.

use std::io::BufReader;
use std::path::{Path, PathBuf};
#[cfg(feature = "playback")]
use std::{fs::File, io::BufRead};

use clap::{Args, ValueEnum};
use paravox::cue::{CueFormat, VisemeSet};
use paravox::timeline::Fps;
use paravox::voice::Package;
use paravox::{Engine, EngineOptions, Error, SpeakOptions, TextSource, VideoOptions};

/// Which text, in which voice, how fast.
#[derive(Args)]
pub(crate) struct SpeechArgs {
    /// The text; "-" reads stdin
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    text: Option<String>,
    /// Read the text from a UTF-8 file of any length; "-" is stdin
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The text is SSML, a <speak> document: pauses, pace, pitch, volume, voices, how words are said
    #[arg(long)]
    pub(crate) ssml: bool,
    /// A voice of `paravox voices`, the folder of a package, or FOLDER/VOICE
    #[arg(long, value_name = "VOICE")]
    voice: Option<String>,
    /// Pace: 0.5 is half as fast, 2 twice as fast
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    speed: f64,
    /// Fit the whole to exactly this many seconds
    #[arg(long, value_name = "SECONDS")]
    length: Option<f64>,
    /// Silence to add after each sentence
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    pause: f64,
    /// Lexicon of your own: a word and its phonemes on each line
    #[arg(long, value_name = "FILE")]
    lexicon: Option<PathBuf>,
}

/// What the face looks like and how often.
#[derive(Args)]
pub(crate) struct FaceArgs {
    /// A face of `paravox faces`, or a face's folder
    #[arg(long, value_name = "FACE")]
    pub(crate) face: Option<String>,
    /// Video frames a second: 25, 29.97, 30000/1001, ...
    #[arg(long, default_value = "25", value_name = "N")]
    pub(crate) fps: Fps,
    /// Hold head and eyes still; only the lips move
    #[arg(long)]
    pub(crate) still: bool,
}

impl FaceArgs {
    pub(crate) fn options(&self) -> VideoOptions {
        let options = VideoOptions::new().fps(self.fps).still(self.still);
        match &self.face {
            Some(face) => options.face(face),
            None => options,
        }
    }
}

/// Which visemes, and how often curves have a row.
#[derive(Args)]
pub(crate) struct VisemeArgs {
    /// The set of visemes of cues; arkit gives curves of blend shapes instead of cues [default: oculus, polly in speech marks]
    #[arg(long, value_name = "SET")]
    visemes: Option<Visemes>,
    /// Rows a second of the curves of arkit
    #[arg(long, default_value = "60", value_name = "N")]
    rate: Fps,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Visemes {
    Oculus,
    Azure,
    Rhubarb,
    PrestonBlair,
    Polly,
    Arkit,
}

impl VisemeArgs {
    /// Whether curves are asked for and not visemes.
    pub(crate) fn are_curves(&self) -> bool {
        self.visemes == Some(Visemes::Arkit)
    }

    /// The format to write in place of `format`, and the set of the visemes in it.
    pub(crate) fn resolve(&self, format: CueFormat) -> paravox::Result<(CueFormat, VisemeSet)> {
        let set = match self.visemes {
            Some(Visemes::Oculus) => VisemeSet::Oculus,
            Some(Visemes::Azure) => VisemeSet::Azure,
            Some(Visemes::Rhubarb) => VisemeSet::Rhubarb,
            Some(Visemes::PrestonBlair) => VisemeSet::PrestonBlair,
            Some(Visemes::Polly) => VisemeSet::Polly,
            Some(Visemes::Arkit) if format == CueFormat::Json => {
                return Ok((CueFormat::BlendShapes(self.rate), VisemeSet::default()));
            }
            Some(Visemes::Arkit) => {
                return Err(Error::Request("--visemes arkit gives curves, which are written as JSON only".into()));
            }
            None if format == CueFormat::Marks => VisemeSet::Polly,
            None => VisemeSet::default(),
        };
        Ok((format, set))
    }
}

impl SpeechArgs {
    /// The engine with the package that the voice is in.
    pub(crate) fn engine(&self) -> paravox::Result<Engine> {
        let mut options = EngineOptions::new();
        if let Some(folder) = self.package() {
            options = options.package(folder);
        }
        if let Some(lexicon) = &self.lexicon {
            options = options.lexicon(lexicon);
        }
        Engine::open(options)
    }

    /// The package folder that was given in place of a voice's name. A built-in voice goes before a folder that happens to
    /// be called like it.
    fn package(&self) -> Option<&Path> {
        let voice = self.voice.as_deref()?;
        let known = |package: Package| package.manifest().voices.iter().any(|known| known.name == voice);
        let folder = Path::new(voice);
        (folder.is_dir() && !Package::built_in().is_ok_and(known)).then_some(folder)
    }

    pub(crate) fn options(&self) -> SpeakOptions {
        let mut options = SpeakOptions::new().speed(self.speed).pause_s(self.pause);
        if let (Some(voice), None) = (&self.voice, self.package()) {
            options = options.voice(voice);
        }
        if let Some(length) = self.length {
            options = options.length_s(length);
        }
        options
    }

    /// The text as it comes, for who speaks it while it is read.
    #[cfg(feature = "playback")]
    pub(crate) fn reader(&self) -> paravox::Result<Box<dyn BufRead + Send + '_>> {
        if self.length.is_some() {
            return Err(Error::Request("live speech has its natural length: leave --length out".into()));
        }
        Ok(match (&self.text, &self.file) {
            (Some(text), _) if text != "-" => Box::new(text.as_bytes()),
            (None, Some(path)) if path.as_os_str() != "-" => {
                let file = File::open(path);
                let file = file.map_err(|source| Error::Io { action: "read", path: path.clone(), source })?;
                Box::new(BufReader::new(file))
            }
            _ => Box::new(BufReader::new(std::io::stdin())),
        })
    }

    pub(crate) fn source(&self) -> TextSource<'_> {
        let stdin = || TextSource::reader("stdin", BufReader::new(std::io::stdin()));
        let source = match (&self.text, &self.file) {
            (Some(text), _) if text == "-" => stdin(),
            (Some(text), _) => TextSource::from(text),
            (None, Some(file)) if file.as_os_str() == "-" => stdin(),
            (None, Some(file)) => TextSource::file(file),
            // clap has asked for one of them already.
            (None, None) => TextSource::from(""),
        };
        if self.ssml { source.ssml() } else { source }
    }
}
