//! `paravox plan`: what would be said when, without synthesis.

use std::io::{BufWriter, Write, stdout};
use std::path::Path;

use clap::Args;
use paravox::cue::{Cue, CueKind};
use paravox::timeline::SAMPLE_RATE;
use paravox::{Error, PlannedSentence};
use serde_json::{Value, json};

use crate::speech_args::SpeechArgs;

/// The arguments of `plan`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Plan {
    #[command(flatten)]
    speech: SpeechArgs,
    /// Everything as one JSON object: sentences with words, phonemes, visemes and symbols
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  paravox plan \"Hello, I am your assistant.\"
  paravox plan \"Hello.\" --json
  paravox plan -f book.txt --json | head -c 1000

Without --json, each line is: start in seconds, end in seconds, kind, text.";

pub(crate) fn run(args: Plan) -> anyhow::Result<()> {
    let engine = args.speech.engine()?;
    let mut out = BufWriter::new(stdout().lock());
    let mut first = true;
    let end = engine.plan_each(args.speech.source(), &args.speech.options(), |sentence| {
        let written = if args.json {
            let lead = if first { format!("{{\"sample_rate\":{SAMPLE_RATE},\"sentences\":[\n") } else { ",\n".into() };
            first = false;
            write!(out, "{lead}{}", to_json(&sentence))
        } else {
            write_lines(&mut out, &sentence)
        };
        written.map_err(to_error)
    })?;
    if args.json {
        let total_s = end.seconds();
        writeln!(out, "\n],\"total_samples\":{},\"total_s\":{total_s:.6}}}", end.pcm_samples)?;
    }
    out.flush()?;
    Ok(())
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
    object
}
