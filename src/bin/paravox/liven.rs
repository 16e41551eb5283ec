//! `paravox liven`: lips that move as far as the real ones.

use std::path::PathBuf;

use clap::Args;
use paravox::train::{LivenOptions, liven};

/// Lips and how far they shall move.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Liven {
    /// Folder of the training
    lips: PathBuf,
    /// Folder to write the livelier lips to
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
    /// Folder that `paravox prepare lips` wrote, on which the lips were trained
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Voice (a training's folder or a shipped one) whose text encoder the lips were trained on
    #[arg(long, value_name = "VOICE")]
    voice: Option<PathBuf>,
    /// How much farther from its mean motion goes: 1 changes nothing, 2.5 is the most
    #[arg(long, value_name = "N")]
    gain: f64,
}

const EXAMPLES: &str = "Examples:
  paravox liven runs/lips -o runs/lips-lively --data data/lips --voice runs/voice --gain 1.7
  paravox eval lips data/lips runs/lips-lively --voice runs/voice
  paravox export lips runs/lips-lively -o models/weights/lips-grid.safetensors

Training leaves lips with less movement than they saw; the gain gives it back. PSNR falls as the gain grows: look at
motion_energy, and judge whole clips.";

pub(crate) fn run(args: Liven) -> anyhow::Result<()> {
    let Liven { lips, out, data, voice, gain } = args;
    Ok(liven(&LivenOptions { data, lips, voice, out, gain })?)
}
