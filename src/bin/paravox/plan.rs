//! `paravox plan`: what would be said when, without synthesis.

use std::io::{BufWriter, Write, stdout};
use std::path::Path;

use clap::{Args, ValueEnum};
use paravox::cue::{Cue, CueFormat, CueKind, CueWriter, VisemeSet};
use paravox::timeline::SAMPLE_RATE;
use paravox::{Error, PlannedSentence, Spoken};
use serde_json::{Value, json};

use crate::speech_args::{SpeechArgs, VisemeArgs};

/// The arguments of `plan`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Plan {
    #[command(flatten)]
    speech: SpeechArgs,
    #[command(flatten)]
    visemes: VisemeArgs,
    /// Everything as one JSON object: sentences with words, phonemes, visemes, marks and symbols
    #[arg(long)]
    json: bool,
    /// How it is written; marks are Amazon Polly's speech marks, vtt and srt captions
    #[arg(long, value_name = "FORMAT", conflicts_with = "json")]
    format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Lines,
    Json,
    Marks,
    Vtt,
    Srt,
}

const EXAMPLES: &str = "Examples:
  paravox plan \"Hello, I am your assistant.\"
  paravox plan \"Hello.\" --json --visemes azure
  paravox plan \"Hello.\" --format marks
  paravox plan \"Hello.\" --visemes arkit --rate 30
  paravox plan -f book.txt --json | head -c 1000

In lines, each line is: start in seconds, end in seconds, kind, text.";

pub(crate) fn run(args: Plan) -> anyhow::Result<()> {
    let json = args.json || args.visemes.are_curves();
    let format = args.format.unwrap_or(if json { Format::Json } else { Format::Lines });
    let (cue_format, visemes) = args.visemes.resolve(match format {
        Format::Lines | Format::Json => CueFormat::Json,
        Format::Marks => CueFormat::Marks,
        Format::Vtt => CueFormat::Vtt,
        Format::Srt => CueFormat::Srt,
    })?;
    let engine = args.speech.engine()?;
    let out = BufWriter::new(stdout().lock());
    let mut writer = match (format, cue_format) {
        (Format::Lines, CueFormat::Json) => Writer::Lines(out),
        (_, CueFormat::Json) => Writer::Json { out, visemes, first: true },
        (_, format) => Writer::Cues(CueWriter::new(format, SAMPLE_RATE, out)?),
    };
    let options = args.speech.options().visemes(visemes);
    let end =
        engine.plan_each(args.speech.source(), &options, |sentence| writer.sentence(&sentence).map_err(to_error))?;
    Ok(writer.finish(&end)?)
}

enum Writer<W: Write> {
    Lines(W),
    Json { out: W, visemes: VisemeSet, first: bool },
    Cues(CueWriter<W>),
}

impl<W: Write> Writer<W> {
    fn sentence(&mut self, sentence: &PlannedSentence) -> std::io::Result<()> {
        match self {
            Self::Lines(out) => write_lines(out, sentence),
            Self::Json { out, visemes, first } => {
                let name = visemes.name();
                let head = format!("{{\"sample_rate\":{SAMPLE_RATE},\"viseme_set\":\"{name}\",\"sentences\":[\n");
                let lead = if std::mem::replace(first, false) { head } else { ",\n".into() };
                write!(out, "{lead}{}", to_json(sentence))
            }
            Self::Cues(writer) => sentence.cues.iter().try_for_each(|cue| writer.push(cue)),
        }
    }

    fn finish(self, end: &Spoken) -> std::io::Result<()> {
        let mut out = match self {
            Self::Lines(out) => out,
            Self::Json { mut out, .. } => {
                let total_s = end.seconds();
                writeln!(out, "\n],\"total_samples\":{},\"total_s\":{total_s:.6}}}", end.pcm_samples)?;
                out
            }
            Self::Cues(writer) => writer.finish(end.pcm_samples)?,
        };
        out.flush()
    }
}

fn to_error(source: std::io::Error) -> Error {
    Error::Io { action: "write", path: Path::new("stdout").to_path_buf(), source }
}

fn seconds(sample: u64) -> f64 {
    sample as f64 / f64::from(SAMPLE_RATE)
}

fn write_lines(out: &mut impl Write, sentence: &PlannedSentence) -> std::io::Result<()> {
    for cue in &sentence.cues {
        let kind = match cue.kind {
            CueKind::Sentence => "sentence",
            CueKind::Word => "word",
            CueKind::Phoneme => "phoneme",
            CueKind::Viseme => "viseme",
            CueKind::Mark => "mark",
        };
        writeln!(
            out,
            "{:.3}\t{:.3}\t{kind}\t{}",
            seconds(cue.start_sample),
            seconds(cue.end_sample),
            one_line(&cue.text)
        )?;
    }
    Ok(())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn to_json(sentence: &PlannedSentence) -> Value {
    let of =
        |kind: CueKind| -> Vec<Value> { sentence.cues.iter().filter(|cue| cue.kind == kind).map(cue_json).collect() };
    let symbols: Vec<Value> = sentence.symbols.iter().map(|(ipa, start, end)| json!([ipa, start, end])).collect();
    json!({
        "text": sentence.text,
        "start_sample": sentence.start_sample,
        "end_sample": sentence.end_sample,
        "start_s": seconds(sentence.start_sample),
        "end_s": seconds(sentence.end_sample),
        "words": of(CueKind::Word),
        "phonemes": of(CueKind::Phoneme),
        "visemes": of(CueKind::Viseme),
        "marks": of(CueKind::Mark),
        "symbols": symbols,
    })
}

fn cue_json(cue: &Cue) -> Value {
    let mut object = json!({
        "text": cue.text,
        "start_sample": cue.start_sample,
        "end_sample": cue.end_sample,
        "start_s": seconds(cue.start_sample),
        "end_s": seconds(cue.end_sample),
    });
    if let Some(source) = &cue.source {
        object["source"] = json!([source.start, source.end]);
    }
    if let Some(chars) = &cue.chars {
        object["chars"] = json!([chars.start, chars.end]);
    }
    object
}
