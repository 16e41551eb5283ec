//! `paravox verify`: whether an MP4 file is as it should be.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use paravox::verify::{Agreement, Report, verify};

/// The arguments of `verify`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// A file that `paravox speak` has written
    #[arg(value_name = "FILE.mp4")]
    file: PathBuf,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  paravox verify hello.mp4
  paravox verify hello.mp4 --json

Checks tracks, codecs, lengths and starts, decodes everything, and measures how far sound and lips are from the cues in
the file. The status is 1 where there is a fault.";

pub(crate) fn run(args: Verify) -> anyhow::Result<()> {
    let report = verify(&args.file)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else if report.faults.is_empty() {
        write_report(&mut out, &report)?;
    }
    match report.faults.as_slice() {
        [] => Ok(()),
        [fault] => bail!("{fault}: {}", args.file.display()),
        [faults @ .., last] => {
            faults.iter().for_each(|fault| eprintln!("paravox: {fault}: {}", args.file.display()));
            bail!("{last}: {}", args.file.display())
        }
    }
}

fn write_report(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    writeln!(out, "sound      {:.3} s", report.sound_s)?;
    if let (Some(pictures_s), Some(fps)) = (report.pictures_s, report.fps) {
        writeln!(out, "pictures   {pictures_s:.3} s, {fps:.3} a second")?;
    }
    writeln!(out, "cues       {} captions, {} words, {} phonemes", report.captions, report.words, report.phonemes)?;
    for (what, agreement) in [("sound lag", report.sound), ("lip lag", report.lips)] {
        if let Some(Agreement { lag_s, correlation, drift_s, .. }) = agreement {
            let drift = drift_s.map(|drift_s| format!(", drift {:.0} ms", 1e3 * drift_s)).unwrap_or_default();
            let lag_ms = (1e3 * lag_s).round() as i64;
            writeln!(out, "{what:<10} {lag_ms} ms, correlation {correlation:.2}{drift}")?;
        }
    }
    if let Some(contrast_db) = report.contrast_db {
        writeln!(out, "pauses     {contrast_db:.1} dB below words")?;
    }
    if let Some(closure) = report.closure {
        writeln!(out, "p, b, m    {:.0} % as open as open vowels", 100.0 * closure)?;
    }
    Ok(())
}
