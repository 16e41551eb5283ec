//! `paravox liven`: lips that move as far as the real ones, and are as sharp.

use std::path::PathBuf;

use clap::Args;
use paravox::train::{LivenOptions, liven};

/// Lips, how far they shall move and how sharp they shall be.
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
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    gain: f64,
    /// How sharp images are made, as a share of the person's picture: 0 leaves them as they are [default: as it was]
    #[arg(long, value_name = "SHARE")]
    sharpness: Option<f64>,
}

const EXAMPLES: &str = "Examples:
  paravox liven runs/lips -o runs/lips-lively --data data/lips --voice runs/voice --gain 1.7 --sharpness 0.8
  paravox eval lips data/lips runs/lips-lively --voice runs/voice
  paravox export lips runs/lips-lively -o models/weights/lips-grid.safetensors

Training leaves lips with less movement and less fine detail than they saw; both can be given back. PSNR falls as they
grow: look at motion_energy and sharpness, and judge whole clips.";

pub(crate) fn run(args: Liven) -> anyhow::Result<()> {
    let Liven { lips, out, data, voice, gain, sharpness } = args;
    Ok(liven(&LivenOptions { data, lips, voice, out, gain, sharpness })?)
}
