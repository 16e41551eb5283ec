//! `paravox prepare`: corpora into training features.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use paravox::data::prepare::{self, Progress, Summary, TimesFrom};
use paravox::face;

use crate::progress;

/// What to prepare.
#[derive(Args)]
pub(crate) struct Prepare {
    #[command(subcommand)]
    corpus: Corpus,
}

#[derive(Subcommand)]
enum Corpus {
    /// Recordings and their texts into mel spectrograms, F0, symbols and durations
    #[command(after_help = SPEECH_EXAMPLES)]
    Speech(SpeechArgs),
    /// Films of speakers into crops of their lips, symbols and times (needs the program ffmpeg)
    #[command(after_help = LIPS_EXAMPLES)]
    Lips(LipsArgs),
    /// A clip of a speaker into a face that can be shown (needs the program ffmpeg)
    #[command(after_help = FACE_EXAMPLES)]
    Face(FaceArgs),
}

const SPEECH_EXAMPLES: &str = "Examples:
  paravox prepare speech lj_heart -o data/speech            corpus.jsonl of a teacher voice
  paravox prepare speech me -o data/me                      metadata.csv and wavs/: recordings of anybody
  paravox prepare speech other -o data/speech --append --voice 1
  paravox prepare speech grid -o data/speech --append --aligner runs/aligner    clips.tsv: words have times";

const LIPS_EXAMPLES: &str = "Examples:
  paravox prepare lips grid -o data/lips                         clips.tsv: the GRID layout
  paravox prepare lips grid -o data/lips --speakers s1,s4
  paravox prepare lips TCD-TIMIT -o data/timit                   volunteers/: the TCD-TIMIT layout";

const FACE_EXAMPLES: &str = "Examples:
  paravox prepare face grid --speaker s4 -o models/weights/faces/grid-s4
  paravox prepare face grid --speaker s1 --clip bbaf2n --square 256 -o faces/me --name me";

#[derive(Args)]
struct SpeechArgs {
    /// Folder of the corpus: with corpus.jsonl (a teacher voice's), metadata.csv (the LJSpeech layout) or clips.tsv (the
    /// GRID layout, whose words have times; needs the program ffmpeg)
    corpus: PathBuf,
    /// Folder of the dataset
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
    /// Id of the speaker, stored with every item
    #[arg(long, default_value_t = 0, value_name = "ID")]
    voice: u32,
    /// Add to the dataset that is in the folder already
    #[arg(long)]
    append: bool,
    /// What finds the times of symbols where the corpus has none: folder of `paravox train aligner`, or a file of `paravox
    /// export aligner`; "none" leaves recordings without times, for a vocoder alone [default: the one built in]
    #[arg(long, value_name = "FOLDER|FILE|none")]
    aligner: Option<PathBuf>,
}

#[derive(Args)]
struct LipsArgs {
    /// Folder of the corpus: with clips.tsv (the GRID layout) or volunteers/ (the TCD-TIMIT layout)
    corpus: PathBuf,
    /// Folder of the dataset
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
    /// Speakers to take, parted by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    speakers: Option<Vec<String>>,
    /// Add to the dataset that is in the folder already
    #[arg(long)]
    append: bool,
}

#[derive(Args)]
struct FaceArgs {
    /// Folder of the corpus, in the GRID layout: with clips.tsv
    corpus: PathBuf,
    /// Who
    #[arg(long, value_name = "NAME")]
    speaker: String,
    /// Folder of the face
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
    /// The clip whose first video frame to show [default: the one whose lips are most firmly closed as it begins]
    #[arg(long, value_name = "NAME")]
    clip: Option<String>,
    /// What users will call the face [default: the name of the folder]
    #[arg(long)]
    name: Option<String>,
    /// Show a square of this many pixels around the head [default: the whole picture]
    #[arg(long, value_name = "PIXELS")]
    square: Option<u32>,
}

pub(crate) fn run(args: Prepare) -> anyhow::Result<()> {
    match args.corpus {
        Corpus::Speech(args) => {
            let SpeechArgs { corpus, out, voice, append, aligner } = args;
            let times = match aligner {
                None => TimesFrom::BuiltIn,
                Some(name) if name.as_os_str() == "none" => TimesFrom::Corpus,
                Some(path) => TimesFrom::Aligner(path),
            };
            let options = prepare::SpeechOptions { corpus, out, voice, append, times };
            with_bar(|progress| prepare::speech(&options, progress))
        }
        Corpus::Lips(args) => {
            let LipsArgs { corpus, out, speakers, append } = args;
            let options = prepare::LipsOptions { corpus, out, speakers, append };
            with_bar(|progress| prepare::lips(&options, progress))
        }
        Corpus::Face(args) => {
            let FaceArgs { corpus, speaker, out, clip, name, square } = args;
            let name = name.or_else(|| Some(out.file_name()?.to_str()?.to_string())).unwrap_or_else(|| speaker.clone());
            face::build(&face::BuildOptions { corpus, speaker, clip, name, square })?.save(&out)?;
            Ok(())
        }
    }
}

/// Shows progress and warnings, then the outcome, all on stderr.
fn with_bar(work: impl FnOnce(&mut dyn FnMut(Progress<'_>)) -> paravox::data::Result<Summary>) -> anyhow::Result<()> {
    let bar = progress::items();
    let summary = work(&mut |progress: Progress<'_>| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        if let Some(warning) = progress.warning {
            bar.suspend(|| eprintln!("paravox: left out: {warning}"));
        }
    });
    bar.finish_and_clear();
    let Summary { stored, left_out, seconds } = summary?;
    eprintln!("{stored} items stored, {left_out} left out, {:.2} hours", seconds / 3600.0);
    Ok(())
}
