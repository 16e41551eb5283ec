//! `paravox speak`: text into a video or sound file.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use indicatif::ProgressBar;
use paravox::VideoOptions;
use paravox::cue::{Cue, CueKind};
use paravox::sink::{CueSink, Mp4Sink, Picture, Sink, SinkError, StreamInfo, TeeSink, WavSink};

use crate::progress;
use crate::speech_args::{FaceArgs, SpeechArgs};

/// The arguments of `speak`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Speak {
    #[command(flatten)]
    speech: SpeechArgs,
    #[command(flatten)]
    face: FaceArgs,
    /// The file to write: .mp4 for a talking face, .wav for sound alone
    #[arg(short, long, value_name = "FILE.mp4|FILE.wav")]
    out: PathBuf,
    /// Same text, options and seed: same bytes
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Also write what is said when: .json, .vtt or .srt
    #[arg(long, value_name = "FILE")]
    cues: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  paravox speak \"Hello, I am your assistant.\" -o hello.mp4
  paravox speak \"Hello.\" -o hello.wav --speed 0.9
  paravox speak -f book.txt -o book.mp4 --fps 29.97 --cues book.vtt
  echo \"In four seconds.\" | paravox speak - -o four.mp4 --length 4
  paravox speak \"Say [[təmˈAɾO]] my way.\" -o tomato.wav
  paravox speak --ssml -f story.ssml -o story.mp4";

pub(crate) fn run(args: Speak) -> anyhow::Result<()> {
    let extension = args.out.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let with_video = match extension.to_ascii_lowercase().as_str() {
        "mp4" => true,
        "wav" => false,
        _ => bail!(paravox::Error::Request(format!(
            "cannot tell what to write to {}: name it .mp4 or .wav",
            args.out.display()
        ))),
    };
    let mut options = args.speech.options().seed(args.seed);
    if with_video {
        let mut video = VideoOptions::new().fps(args.face.fps);
        if let Some(face) = &args.face.face {
            video = video.face(face);
        }
        options = options.video(video);
    } else if args.face.face.is_some() {
        bail!(paravox::Error::Request("--face needs pictures: write to a .mp4 file".to_string()));
    }
    let mut sinks: Vec<Box<dyn Sink>> =
        vec![if with_video { Box::new(Mp4Sink::new(&args.out)) } else { Box::new(WavSink::new(&args.out)) }];
    if let Some(path) = &args.cues {
        let sink = CueSink::new(path).map_err(|error| paravox::Error::Request(error.to_string()))?;
        sinks.push(Box::new(sink));
    }
    let engine = args.speech.engine()?;
    let source = args.speech.source();
    let mut sink = WithBar { bar: progress::text(source.len_bytes()), inner: TeeSink::new(sinks) };
    engine.speak(source, &options, &mut sink)?;
    Box::new(sink).finish()?;
    Ok(())
}

/// Moves a progress bar along with the text.
struct WithBar {
    inner: TeeSink,
    bar: ProgressBar,
}

impl Sink for WithBar {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        self.inner.begin(info)
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.inner.pcm(pcm)
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.bar.tick();
        self.inner.picture(picture)
    }

    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        if let (CueKind::Sentence, Some(source)) = (cue.kind, &cue.source) {
            self.bar.set_position(source.start as u64);
        }
        self.inner.cue(cue)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.bar.finish_and_clear();
        Box::new(self.inner).finish()
    }
}
