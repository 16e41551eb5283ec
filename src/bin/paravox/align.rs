//! `paravox align`: times of symbols found anew.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use paravox::metrics::reader::align_lips;

/// What to align.
#[derive(Args)]
pub(crate) struct Align {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Films of lips with their text, without sound
    #[command(after_help = LIPS_EXAMPLES)]
    Lips(LipsArgs),
}

const LIPS_EXAMPLES: &str = "Examples:
  paravox align lips data/lips --reader runs/reader -o data/lips-silent
  paravox train lips data/lips-silent -o runs/lips-silent --voice runs/voice
  paravox align lips data/lips -o data/lips-even     times to start a reader from: train reader --frame-wise

The new corpus shares the films with the old one: it takes hardly any space.";

#[derive(Args)]
struct LipsArgs {
    /// Folder that `paravox prepare lips` wrote
    data: PathBuf,
    /// Folder of `paravox train reader` [default: none, symbols are spread evenly over the time in which the lips move]
    #[arg(long, value_name = "FOLDER")]
    reader: Option<PathBuf>,
    /// Folder of the corpus to write
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(crate) fn run(args: Align) -> anyhow::Result<()> {
    let What::Lips(LipsArgs { data, reader, out }) = args.what;
    let clips = align_lips(&data, reader.as_deref(), &out)?;
    eprintln!("{clips} clips aligned");
    Ok(())
}
