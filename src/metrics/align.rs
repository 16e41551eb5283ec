//! How close the aligner comes to word times that others have found: the clips of GRID with their `.align` files.
//!
//! GRID's speakers are people, men and women, whom the aligner has never heard.

use std::path::{Path, PathBuf};

use paravox_vocoder::mel::{MelConfig, MelExtractor};
use rayon::prelude::*;
use serde::Serialize;

use super::Figure;
use crate::align::Aligner;
use crate::data::video;
use crate::text::{FrontEnd, FrontEndOptions, Utterance};
use crate::timeline::{HOP_LENGTH, SAMPLE_RATE};
use crate::train::{Result, TrainError};

/// Units of `.align` files in a second.
const ALIGN_UNITS: f64 = 25_000.0;
/// A word start this far off is a word that was not found.
const MISSED_MS: f64 = 100.0;

/// Options of [`eval_align`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EvalAlignOptions {
    /// Folder in the GRID layout: `clips.tsv`, and of every clip `SPEAKER/CLIP.mp4` and `SPEAKER/CLIP.align`.
    pub corpus: PathBuf,
    /// The aligner: folder of its training, or a file.
    pub aligner: PathBuf,
    /// At most this many clips of each speaker; `None`: all.
    pub max_clips: Option<usize>,
}

impl EvalAlignOptions {
    /// All clips.
    pub fn new(corpus: impl Into<PathBuf>, aligner: impl Into<PathBuf>) -> Self {
        Self { corpus: corpus.into(), aligner: aligner.into(), max_clips: None }
    }
}

/// What an aligner is worth.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AlignReport {
    /// Clips aligned.
    pub clips: usize,
    /// Words compared.
    pub words: usize,
    /// Figures over all words.
    pub figures: Vec<Figure>,
    /// Of each speaker: name, words, mean absolute error of word starts in milliseconds.
    pub speakers: Vec<(String, usize, f64)>,
}

/// One clip: who, which, what.
struct Clip {
    speaker: String,
    name: String,
    text: String,
}

/// Aligns every clip's sound with its text and compares where words start (needs the program ffmpeg).
///
/// # Errors
/// [`TrainError::Data`] for a corpus or an aligner that cannot be read.
pub fn eval_align(options: &EvalAlignOptions) -> Result<AlignReport> {
    let aligner = Aligner::open(&options.aligner)?;
    let front_end = FrontEnd::new(FrontEndOptions::default()).map_err(|error| TrainError::Data(error.to_string()))?;
    let extractor = MelExtractor::new(MelConfig::default()).expect("the default geometry is sound");
    let clips = clips(&options.corpus, options.max_clips)?;
    let errors = clips.par_iter().map(|clip| {
        let folder = options.corpus.join(&clip.speaker);
        let truth = word_starts(&folder.join(format!("{}.align", clip.name)))?;
        let pcm = video::sound(&folder.join(format!("{}.mp4", clip.name)), SAMPLE_RATE)?;
        let refuse = |why: String| TrainError::Data(format!("clip {}/{}: {why}", clip.speaker, clip.name));
        let utterance = front_end.analyse(&clip.text).map_err(|error| refuse(error.to_string()))?;
        let found = aligned_starts(&aligner, &extractor.extract(&pcm), &utterance).map_err(refuse)?;
        if found.len() != truth.len() {
            return Err(refuse(format!("{} words in its text, {} in its times", found.len(), truth.len())));
        }
        Ok(found.iter().zip(&truth).map(|(found, truth)| (found - truth) * 1000.0).collect::<Vec<f64>>())
    });
    let errors: Vec<Vec<f64>> = errors.collect::<Result<_>>()?;
    let mut speakers: Vec<(String, usize, f64)> = Vec::new();
    for (clip, errors) in clips.iter().zip(&errors) {
        if speakers.last().is_none_or(|last| last.0 != clip.speaker) {
            speakers.push((clip.speaker.clone(), 0, 0.0));
        }
        if let Some((_, words, sum)) = speakers.last_mut() {
            *words += errors.len();
            *sum += errors.iter().map(|error| error.abs()).sum::<f64>();
        }
    }
    speakers.iter_mut().for_each(|(_, words, sum)| *sum /= *words as f64);
    let errors = errors.concat();
    Ok(AlignReport { clips: clips.len(), words: errors.len(), figures: figures(&errors), speakers })
}

fn figures(errors_ms: &[f64]) -> Vec<Figure> {
    let n = errors_ms.len() as f64;
    let mut sorted: Vec<f64> = errors_ms.iter().map(|error| error.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    let missed = sorted.iter().filter(|error| **error > MISSED_MS).count() as f64;
    let figure = |name, value, unit| Figure { name, value, unit, higher_is_better: false };
    vec![
        figure("word_start_error", sorted.iter().sum::<f64>() / n, "ms"),
        figure("word_start_median", sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN), "ms"),
        figure("word_start_bias", errors_ms.iter().sum::<f64>() / n, "ms"),
        figure("beyond_100_ms", missed / n, ""),
    ]
}

/// The clips of `clips.tsv`, speaker by speaker, each with its letters written so that they are named.
fn clips(corpus: &Path, max: Option<usize>) -> Result<Vec<Clip>> {
    let path = corpus.join("clips.tsv");
    let text = std::fs::read_to_string(&path).map_err(|error| TrainError::read(&path, error))?;
    let mut clips: Vec<Clip> = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [speaker, name, .., text] = fields[..] else {
            return Err(TrainError::Data(format!("{}: not tab-separated clips: {line}", path.display())));
        };
        let words = text.split_whitespace().map(|word| match word {
            // The article is no letter.
            "a" => "[[ˈA]]".to_string(),
            letter if letter.len() == 1 => letter.to_uppercase(),
            word => word.to_string(),
        });
        let text = words.collect::<Vec<_>>().join(" ");
        clips.push(Clip { speaker: speaker.into(), name: name.into(), text });
    }
    clips.sort_by(|a, b| a.speaker.cmp(&b.speaker));
    let mut seen = (String::new(), 0);
    clips.retain(|clip| {
        seen = if seen.0 == clip.speaker { (seen.0.clone(), seen.1 + 1) } else { (clip.speaker.clone(), 1) };
        max.is_none_or(|max| seen.1 <= max)
    });
    Ok(clips)
}

/// Starts of the words of an `.align` file in seconds; lines are: start, end, word.
fn word_starts(path: &Path) -> Result<Vec<f64>> {
    let text = std::fs::read_to_string(path).map_err(|error| TrainError::read(path, error))?;
    let mut starts = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [start, _, word] = fields[..] else {
            return Err(TrainError::Data(format!("{}: not a start, an end and a word: {line}", path.display())));
        };
        if !matches!(word, "sil" | "sp") {
            let start: f64 =
                start.parse().map_err(|_| TrainError::Data(format!("{}: no time: {line}", path.display())))?;
            starts.push(start / ALIGN_UNITS);
        }
    }
    Ok(starts)
}

/// Where the aligner finds the words to start, in seconds.
fn aligned_starts(aligner: &Aligner, mel: &[f32], utterance: &Utterance) -> std::result::Result<Vec<f64>, String> {
    let found = aligner.align(mel, &utterance.symbols)?;
    let mut starts = Vec::new();
    let mut mel_frame = 0;
    for (symbol, length) in found.symbols.iter().zip(&found.durations) {
        if symbol.word_start {
            starts.push(f64::from(mel_frame) * f64::from(HOP_LENGTH) / f64::from(SAMPLE_RATE));
        }
        mel_frame += length;
    }
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_and_times_are_read_as_grid_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let tsv = "speaker\tclip\twidth\theight\tsplit\ttext\ns2\tx\t1\t1\ttest\tbin blue at a two now\n\
            s1\ty\t1\t1\ttest\tset red by q one soon\ns1\tz\t1\t1\ttrain\tset red by b one soon\n";
        std::fs::write(folder.path().join("clips.tsv"), tsv).unwrap();
        let found = clips(folder.path(), Some(1)).unwrap();
        let texts: Vec<&str> = found.iter().map(|clip| &*clip.text).collect();
        assert_eq!(texts, ["set red by Q one soon", "bin blue at [[ˈA]] two now"]);
        let path = folder.path().join("a.align");
        std::fs::write(&path, "0 12500 sil\n12500 25000 bin\n25000 26000 sp\n26000 50000 blue\n").unwrap();
        assert_eq!(word_starts(&path).unwrap(), [0.5, 1.04]);
        std::fs::write(&path, "0 x\n").unwrap();
        assert!(word_starts(&path).unwrap_err().to_string().contains("a.align"));
    }

    #[test]
    fn figures_are_their_definitions() {
        let values: Vec<f64> = figures(&[10.0, -30.0, 20.0, 160.0]).iter().map(|figure| figure.value).collect();
        assert_eq!(values, [55.0, 30.0, 40.0, 0.25]);
    }
}
