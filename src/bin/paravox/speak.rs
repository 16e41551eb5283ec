//! `paravox speak`: text into a video or sound file.

use std::io::{BufWriter, IsTerminal, stdout};
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use paravox::cue::{Cue, CueFormat, CueKind};
use paravox::sink::{
    CueSink, Mp4Sink, Mp4StreamSink, Picture, Sink, SinkError, StreamInfo, TeeSink, WavSink, WavStreamSink,
};

use crate::progress;
use crate::speech_args::{FaceArgs, SpeechArgs, VisemeArgs};

/// The arguments of `speak`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Speak {
    #[command(flatten)]
    speech: SpeechArgs,
    #[command(flatten)]
    face: FaceArgs,
    /// The file to write: .mp4 for a talking face, .wav for sound alone; "-" writes to stdout while it is being made
    #[arg(short, long, value_name = "FILE.mp4|FILE.wav|-")]
    out: PathBuf,
    /// What is written [default: by the file's ending, mp4 to stdout, in fragments]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Same text, options and seed: same bytes
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Also write what is said when: .json, captions as .vtt or .srt, Amazon Polly's speech marks as .ndjson or .marks
    #[arg(long, value_name = "FILE")]
    cues: Option<PathBuf>,
    #[command(flatten)]
    visemes: VisemeArgs,
    /// Leave captions and cues out of the .mp4 file
    #[arg(long)]
    no_embedded_cues: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Mp4,
    Wav,
}

const EXAMPLES: &str = "Examples:
  paravox speak \"Hello, I am your assistant.\" -o hello.mp4
  paravox speak \"Hello.\" -o hello.wav --speed 0.9
  paravox speak -f book.txt -o book.mp4 --fps 29.97 --cues book.vtt
  paravox speak \"Hello.\" -o hello.wav --cues hello.json --visemes azure
  echo \"In four seconds.\" | paravox speak - -o four.mp4 --length 4
  paravox speak -f book.txt -o - | ffplay -
  paravox speak \"Hello.\" -o - --format wav | aplay
  paravox speak \"Say [[təmˈAɾO]] my way.\" -o tomato.wav
  paravox speak --ssml -f story.ssml -o story.mp4";

pub(crate) fn run(args: Speak) -> anyhow::Result<()> {
    let to_stdout = args.out.as_os_str() == "-";
    let extension = args.out.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let format = match (args.format, extension.to_ascii_lowercase().as_str()) {
        (Some(format), _) => format,
        (None, "mp4") => Format::Mp4,
        (None, "wav") => Format::Wav,
        (None, _) if to_stdout => Format::Mp4,
        _ => bail!(paravox::Error::Request(format!(
            "cannot tell what to write to {}: name it .mp4 or .wav",
            args.out.display()
        ))),
    };
    if to_stdout && stdout().is_terminal() {
        bail!(paravox::Error::Request("stdout is a terminal: send it into a file or a player".to_string()));
    }
    let with_video = format == Format::Mp4;
    let mut options = args.speech.options().seed(args.seed);
    if with_video {
        options = options.video(args.face.options());
    } else if args.face.face.is_some() {
        bail!(paravox::Error::Request("--face needs pictures: write to a .mp4 file".to_string()));
    }
    let main: Box<dyn Sink> = match (format, to_stdout) {
        (Format::Mp4, true) => Box::new(Mp4StreamSink::new(BufWriter::new(stdout()), "stdout")),
        (Format::Wav, true) => Box::new(WavStreamSink::new(stdout(), "stdout")),
        (Format::Mp4, false) if args.no_embedded_cues => Box::new(Mp4Sink::new(&args.out).without_cues()),
        (Format::Mp4, false) => Box::new(Mp4Sink::new(&args.out)),
        (Format::Wav, false) => Box::new(WavSink::new(&args.out)),
    };
    let mut sinks = vec![main];
    if let Some(path) = &args.cues {
        let sink = CueSink::new(path).map_err(|error| paravox::Error::Request(error.to_string()))?;
        let (format, visemes) = args.visemes.resolve(sink.format())?;
        options = options.visemes(visemes);
        sinks.push(Box::new(CueSink::with_format(path, format)));
    } else if args.visemes.are_curves() {
        bail!(paravox::Error::Request("--visemes arkit needs a file for the curves: add --cues FILE.json".to_string()));
    } else {
        options = options.visemes(args.visemes.resolve(CueFormat::Json)?.1);
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
