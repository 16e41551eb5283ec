//! `paravox export`: trainings into the weights files of a package, and what trainers elsewhere need.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use paravox::train::export_mel;
use paravox::voice::{Nets, export, export_voice, seal};

/// What to export.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "Examples:
  paravox export voice runs/voice -o models/weights/voices-us.safetensors --sharpen 0.6
  paravox export vocoder runs/vocoder -o models/weights/vocoder-heart.safetensors
  paravox export lips runs/lips -o models/weights/lips-grid.safetensors
  paravox export mel data/speech --voice heart -o mel.safetensors
  paravox export manifest models/weights";

#[derive(Subcommand)]
enum What {
    /// The nets of a voice, as f16 with their configuration inside
    Voice(VoiceArgs),
    /// A vocoder
    Vocoder(NetsArgs),
    /// Lips, with the text encoder that they trained along, if they did
    Lips(NetsArgs),
    /// An aligner
    Aligner(NetsArgs),
    /// What finds the mouth's landmarks
    Landmarks(NetsArgs),
    /// The mel that a voice predicts for a corpus, for a vocoder that is trained elsewhere (models/training)
    Mel(MelArgs),
    /// Write the hashes of a package's files into its manifest.json
    Manifest(ManifestArgs),
}

#[derive(Args)]
struct NetsArgs {
    /// Folder of the training
    training: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

#[derive(Args)]
struct VoiceArgs {
    #[command(flatten)]
    nets: NetsArgs,
    /// How much contrast between bands the mel spectrograms get back that training took: 0 none, 2 is the most
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    sharpen: f64,
}

#[derive(Args)]
struct MelArgs {
    /// Folder that `paravox prepare speech` wrote, with durations
    data: PathBuf,
    /// A training's folder, a weights file or the name of a shipped voice
    #[arg(long, value_name = "VOICE")]
    voice: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

#[derive(Args)]
struct ManifestArgs {
    /// Folder of the package
    package: PathBuf,
}

pub(crate) fn run(args: Export) -> anyhow::Result<()> {
    match args.what {
        What::Voice(VoiceArgs { nets, sharpen }) => export_voice(&nets.training, &nets.out, sharpen)?,
        What::Vocoder(args) => export(Nets::Vocoder, &args.training, &args.out)?,
        What::Lips(args) => export(Nets::Lips, &args.training, &args.out)?,
        What::Aligner(args) => export(Nets::Aligner, &args.training, &args.out)?,
        What::Landmarks(args) => export(Nets::Landmarks, &args.training, &args.out)?,
        What::Mel(args) => eprintln!("{} sentences stored", export_mel(&args.data, &args.voice, &args.out)?),
        What::Manifest(args) => seal(&args.package)?,
    }
    Ok(())
}
