//! `paravox eval`: figures on the split of a dataset that was never trained on.

use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use paravox::device::Backend;
use paravox::metrics::Figure;
use paravox::metrics::align::{EvalAlignOptions, eval_align};
use paravox::metrics::lips::{EvalLipsOptions, eval_lips};
use paravox::metrics::paper::{EvalPaperOptions, PaperReport, SystemFigures, eval_paper};
use paravox::metrics::reader::{EvalReaderOptions, eval_reader};
use paravox::metrics::voice::{EvalVoiceOptions, eval_voice};
use serde::Serialize;

/// What to measure.
#[derive(Args)]
pub(crate) struct Eval {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Pictures of lips against the real ones: PSNR, SSIM, motion energy, sharpness, landmarks
    #[command(after_help = LIPS_EXAMPLES)]
    Lips(LipsArgs),
    /// The tables of ParaLip's paper: lips beside DualLip and TransformerT2L, losses, latency against length
    #[command(after_help = PAPER_EXAMPLES)]
    Paper(PaperArgs),
    /// Mel, F0, voicing and durations against the recorded ones
    #[command(after_help = VOICE_EXAMPLES)]
    Voice(VoiceArgs),
    /// Word times that the aligner finds against GRID's own (needs the program ffmpeg)
    #[command(after_help = ALIGN_EXAMPLES)]
    Align(AlignArgs),
    /// Phonemes that a lip reader reads, and the times that it finds without sound
    #[command(after_help = READER_EXAMPLES)]
    Reader(ReaderArgs),
}

const READER_EXAMPLES: &str = "Examples:
  paravox eval reader data/lips runs/reader --speakers s1
  paravox eval reader data/lips runs/reader --json --max 10

Times are compared with those that the corpus has from sound.";

const ALIGN_EXAMPLES: &str = "Examples:
  paravox eval align grid runs/aligner
  paravox eval align grid aligner.safetensors --json --max 10";

const LIPS_EXAMPLES: &str = "Examples:
  paravox eval lips data/lips runs/lips --voice runs/voice --speakers s1
  paravox eval lips data/lips heart --voice heart --json --max 10 --sheet lips.png
  paravox eval lips data/lips runs/lips --landmarks runs/landmarks --predicted-durations

True durations are given where --predicted-durations is not, and the identity is each clip's first video frame. Clips of
different length are compared as far as both go. --landmarks adds figures of the mouth (LMD, closures on p, b and m, movement
in pauses), read by a net of `paravox train landmarks`.";

const PAPER_EXAMPLES: &str = "Examples:
  paravox eval paper data/lips runs/lips --voice runs/voice --speakers s1 \\
      --reference DualLip=runs/dual-lip --reference TransformerT2L=runs/t2l \\
      --ablation L1=runs/l1 --ablation L1+SSIM=runs/lips --landmarks runs/landmarks --reader runs/reader --json

Each system has durations of its own; --ablation compares lips with true durations. The lips are trained with
--own-durations, the references with `paravox train lips-reference`.";

const VOICE_EXAMPLES: &str = "Examples:
  paravox eval voice data/speech runs/voice
  paravox eval voice data/speech heart --json --max 50";

#[derive(Args)]
struct LipsArgs {
    /// Folder that `paravox prepare lips` wrote
    data: PathBuf,
    /// Folder of the training, or the name of a shipped voice
    lips: PathBuf,
    /// Voice (a training's folder or a shipped one) whose text encoder the lips were trained on
    #[arg(long, value_name = "VOICE")]
    voice: Option<PathBuf>,
    /// Speakers to measure, parted by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    speakers: Vec<String>,
    /// At most this many clips
    #[arg(long, value_name = "N")]
    max: Option<usize>,
    /// Write real and generated clips, row by row, to a PNG
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// Folder of `paravox train landmarks`, or a file of `paravox export landmarks`
    #[arg(long, value_name = "FOLDER|FILE")]
    landmarks: Option<PathBuf>,
    /// Let the lips predict the durations (trained with --own-durations)
    #[arg(long)]
    predicted_durations: bool,
    /// Folder of `paravox train reader`: how well the lips can be read, and how alike they are to a reader
    #[arg(long, value_name = "FOLDER")]
    reader: Option<PathBuf>,
    /// Where the nets run: cpu, or cuda in a build with the feature cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Backend,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ReaderArgs {
    /// Folder that `paravox prepare lips` wrote
    data: PathBuf,
    /// Folder of the training
    reader: PathBuf,
    /// Speakers to measure, parted by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    speakers: Vec<String>,
    /// At most this many clips
    #[arg(long, value_name = "N")]
    max: Option<usize>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct PaperArgs {
    /// Folder that `paravox prepare lips` wrote
    data: PathBuf,
    /// Folder of the lips' training
    lips: PathBuf,
    /// Voice (a training's folder or a shipped one) whose text encoder the lips were trained on
    #[arg(long, value_name = "VOICE")]
    voice: Option<PathBuf>,
    /// An autoregressive system to compare with
    #[arg(long = "reference", value_name = "NAME=FOLDER", value_parser = named_folder)]
    references: Vec<(String, PathBuf)>,
    /// Lips that were trained on other losses
    #[arg(long = "ablation", value_name = "NAME=FOLDER", value_parser = named_folder)]
    ablations: Vec<(String, PathBuf)>,
    /// Speakers to measure, parted by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    speakers: Vec<String>,
    /// At most this many clips
    #[arg(long, value_name = "N")]
    max: Option<usize>,
    /// Folder of `paravox train landmarks`, or a file of `paravox export landmarks`
    #[arg(long, value_name = "FOLDER|FILE")]
    landmarks: Option<PathBuf>,
    /// Folder of `paravox train reader`
    #[arg(long, value_name = "FOLDER")]
    reader: Option<PathBuf>,
    /// Where the nets run: cpu, or cuda in a build with the feature cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Backend,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

fn named_folder(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => Ok((name.to_owned(), folder.into())),
        _ => Err("write NAME=FOLDER".into()),
    }
}

#[derive(Args)]
struct VoiceArgs {
    /// Folder that `paravox prepare speech` wrote
    data: PathBuf,
    /// Folder of the training, or the name of a shipped voice
    voice: PathBuf,
    /// At most this many sentences
    #[arg(long, value_name = "N")]
    max: Option<usize>,
    /// Where the nets run: cpu, or cuda in a build with the feature cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Backend,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct AlignArgs {
    /// Folder in the GRID layout, with clips.tsv and the clips' .align files
    corpus: PathBuf,
    /// Folder of `paravox train aligner`, or a file of `paravox export aligner`
    aligner: PathBuf,
    /// At most this many clips of each speaker
    #[arg(long, value_name = "N")]
    max: Option<usize>,
    /// Clips of the training split too: for an aligner that has not heard them
    #[arg(long)]
    all: bool,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Eval) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match args.what {
        What::Lips(args) => {
            let mut options = EvalLipsOptions::new(args.data, args.lips);
            (options.voice, options.speakers) = (args.voice, args.speakers);
            (options.max_clips, options.sheet, options.reader) = (args.max, args.sheet, args.reader);
            (options.landmarks, options.predicted_durations) = (args.landmarks, args.predicted_durations);
            options.device = args.device;
            let report = eval_lips(&options)?;
            if args.json {
                return write_json(&mut out, &report);
            }
            let speed = report.video_frames_per_second;
            writeln!(out, "{} clips, {} video frames, {speed:.0} a second", report.clips, report.video_frames)?;
            write_figures(&mut out, &report.figures)?;
            for speaker in &report.speakers {
                writeln!(out, "{}", speaker.speaker)?;
                write_figures(&mut out, &speaker.figures)?;
            }
        }
        What::Reader(args) => {
            let mut options = EvalReaderOptions::new(args.data, args.reader);
            (options.speakers, options.max_clips) = (args.speakers, args.max);
            let report = eval_reader(&options)?;
            if args.json {
                return write_json(&mut out, &report);
            }
            writeln!(out, "{} clips, {} phonemes, {} words", report.clips, report.phonemes, report.words)?;
            write_figures(&mut out, &report.figures)?;
        }
        What::Paper(args) => {
            let mut options = EvalPaperOptions::new(args.data, args.lips);
            (options.voice, options.references, options.ablations) = (args.voice, args.references, args.ablations);
            (options.speakers, options.max_clips) = (args.speakers, args.max);
            (options.landmarks, options.reader) = (args.landmarks, args.reader);
            options.device = args.device;
            let report = eval_paper(&options)?;
            if args.json {
                return write_json(&mut out, &report);
            }
            write_paper(&mut out, &report)?;
        }
        What::Voice(args) => {
            let mut options = EvalVoiceOptions::new(args.data, args.voice);
            (options.max_sentences, options.device) = (args.max, args.device);
            let report = eval_voice(&options)?;
            if args.json {
                return write_json(&mut out, &report);
            }
            writeln!(out, "{} sentences", report.sentences)?;
            write_figures(&mut out, &report.figures)?;
        }
        What::Align(args) => {
            let mut options = EvalAlignOptions::new(args.corpus, args.aligner);
            (options.max_clips, options.all) = (args.max, args.all);
            let report = eval_align(&options)?;
            if args.json {
                return write_json(&mut out, &report);
            }
            writeln!(out, "{} clips, {} words", report.clips, report.words)?;
            write_figures(&mut out, &report.figures)?;
            for (speaker, words, error_ms) in &report.speakers {
                writeln!(out, "  {speaker:20} {error_ms:10.1} ms        {words} words")?;
            }
        }
    }
    Ok(())
}

fn write_paper(out: &mut impl Write, report: &PaperReport) -> std::io::Result<()> {
    let mut write_systems = |title: &str, systems: &[SystemFigures]| {
        for SystemFigures { system, figures, .. } in systems {
            writeln!(out, "{system}, {title}, {} clips", report.clips)?;
            write_figures(out, figures)?;
        }
        Ok::<_, std::io::Error>(())
    };
    write_systems("own durations", &report.systems)?;
    write_systems("true durations", &report.ablation)?;
    writeln!(out, "Latency of a clip")?;
    for row in &report.latency {
        writeln!(
            out,
            "  {:20} {:10.0} ms median, {:.0} ms at most, {:.2} ms a video frame, {:.1} times the lips', {} parameters",
            row.system, row.median_ms, row.max_ms, row.ms_per_video_frame, row.speed_up_of_lips, row.parameters
        )?;
    }
    writeln!(out, "Latency by length")?;
    for row in &report.latency_by_length {
        write!(out, "  {:5.1} s", row.length_s)?;
        for (system, ms) in &row.ms {
            write!(out, "   {system} {ms:.0} ms")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_json(out: &mut impl Write, report: &impl Serialize) -> anyhow::Result<()> {
    writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
    Ok(())
}

fn write_figures(out: &mut impl Write, figures: &[Figure]) -> std::io::Result<()> {
    for Figure { name, value, unit, higher_is_better, .. } in figures {
        let better = if *higher_is_better { "higher is better" } else { "lower is better" };
        writeln!(out, "  {name:20} {value:10.4} {unit:8} {better}")?;
    }
    Ok(())
}
