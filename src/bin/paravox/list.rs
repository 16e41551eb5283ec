//! `paravox voices` and `paravox faces`: what a package holds, with licence and origin.

use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::Args;
use paravox::voice::Package;

/// The arguments of `voices` and `faces`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct List {
    /// Folder of a package; without it, what is built in
    package: Option<PathBuf>,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  paravox voices
  paravox faces --json
  paravox voices models/weights";

impl List {
    fn package(&self) -> paravox::Result<Package> {
        match &self.package {
            Some(folder) => Package::open(folder),
            None => Package::built_in(),
        }
    }
}

pub(crate) fn voices(args: List) -> anyhow::Result<()> {
    let package = args.package()?;
    let manifest = package.manifest();
    let mut out = stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&manifest.voices)?)?;
        return Ok(());
    }
    for voice in &manifest.voices {
        let mark = if voice.name == manifest.default_voice { " (default)" } else { "" };
        let lips = if voice.lips.is_some() { "speech and lips" } else { "speech alone" };
        write_entry(&mut out, &format!("{}{mark}", voice.name), &voice.description, &voice.licence, &voice.origin)?;
        writeln!(out, "  has      {lips}")?;
        if let Some(face) = &voice.face {
            writeln!(out, "  face     {face}")?;
        }
    }
    Ok(())
}

pub(crate) fn faces(args: List) -> anyhow::Result<()> {
    let package = args.package()?;
    let manifest = package.manifest();
    let mut out = stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&manifest.faces)?)?;
        return Ok(());
    }
    for face in &manifest.faces {
        let mark = if manifest.default_face.as_ref() == Some(&face.name) { " (default)" } else { "" };
        write_entry(&mut out, &format!("{}{mark}", face.name), &face.description, &face.licence, &face.origin)?;
    }
    Ok(())
}

fn write_entry(
    out: &mut impl Write,
    title: &str,
    description: &str,
    licence: &str,
    origin: &str,
) -> std::io::Result<()> {
    writeln!(out, "{title}\n  {description}\n  licence  {licence}\n  origin   {origin}")
}
