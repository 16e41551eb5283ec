//! How close the aligner comes to word times that others have found: the clips of GRID with their `.align` files.
//!
//! An aligner may be trained on the training split of these clips, so the test split counts.

use std::path::PathBuf;

use paravox_vocoder::mel::{MelConfig, MelExtractor};
use rayon::prelude::*;
use serde::Serialize;

use super::Figure;
use crate::align::Aligner;
use crate::data::Split;
use crate::data::prepare::ListedClip;
use crate::text::{FrontEnd, FrontEndOptions};
use crate::timeline::{HOP_LENGTH, SAMPLE_RATE};
use crate::train::{Result, TrainError};

/// Length of a mel frame in seconds.
const MEL_FRAME_S: f64 = HOP_LENGTH as f64 / SAMPLE_RATE as f64;
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
    /// Whether the clips of the training split count too: for an aligner that has not heard them.
    pub all: bool,
    /// At most this many clips of each speaker; `None`: all.
    pub max_clips: Option<usize>,
}

impl EvalAlignOptions {
    /// All clips of the test split.
    pub fn new(corpus: impl Into<PathBuf>, aligner: impl Into<PathBuf>) -> Self {
        Self { corpus: corpus.into(), aligner: aligner.into(), all: false, max_clips: None }
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

/// Aligns each clip's sound with its text and compares where words start (needs the program ffmpeg).
///
/// # Errors
/// [`TrainError::Data`] for a corpus or an aligner that cannot be read.
pub fn eval_align(options: &EvalAlignOptions) -> Result<AlignReport> {
    let aligner = Aligner::open(&options.aligner)?;
    let front_end = FrontEnd::new(FrontEndOptions::default()).map_err(|error| TrainError::Data(error.to_string()))?;
    let extractor = MelExtractor::new(MelConfig::default()).expect("the default geometry is sound");
    let clips = clips(options)?;
    if clips.is_empty() {
        return Err(TrainError::Data(format!("{}: no clip of the test split", options.corpus.display())));
    }
    let errors = clips.par_iter().map(|clip| {
        let truth = clip.word_starts_s(&options.corpus)?;
        let pcm = clip.sound(&options.corpus, SAMPLE_RATE)?;
        let refuse = |why: String| TrainError::Data(format!("clip {}: {why}", clip.id()));
        let utterance = front_end.analyse(&clip.spoken_text()).map_err(|error| refuse(error.to_string()))?;
        let found = aligner.align(&extractor.extract(&pcm), &utterance.symbols).map_err(refuse)?.word_starts();
        if found.len() != truth.len() {
            return Err(refuse(format!("{} words in its text, {} in its times", found.len(), truth.len())));
        }
        Ok(found
            .iter()
            .zip(&truth)
            .map(|(found, truth)| (*found as f64 * MEL_FRAME_S - truth) * 1000.0)
            .collect::<Vec<f64>>())
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

/// The clips to align, speaker by speaker.
fn clips(options: &EvalAlignOptions) -> Result<Vec<ListedClip>> {
    let mut clips = ListedClip::list(&options.corpus)?;
    clips.retain(|clip| options.all || clip.split == Split::Test);
    clips.sort_by(|a, b| a.speaker.cmp(&b.speaker));
    let mut seen = (String::new(), 0);
    clips.retain(|clip| {
        seen = if seen.0 == clip.speaker { (seen.0.clone(), seen.1 + 1) } else { (clip.speaker.clone(), 1) };
        options.max_clips.is_none_or(|max| seen.1 <= max)
    });
    Ok(clips)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_of_the_test_split_come_speaker_by_speaker_and_no_more_than_asked() {
        let folder = tempfile::tempdir().unwrap();
        let tsv = "speaker\tclip\twidth\theight\tsplit\ttext\ns2\tx\t1\t1\ttest\tbin blue at a two now\n\
            s1\tw\t1\t1\ttrain\tset red by c one soon\ns1\ty\t1\t1\ttest\tset red by q one soon\n\
            s1\tz\t1\t1\ttest\tset red by b one soon\n";
        std::fs::write(folder.path().join("clips.tsv"), tsv).unwrap();
        let mut options = EvalAlignOptions { max_clips: Some(1), ..EvalAlignOptions::new(folder.path(), "") };
        let texts = |options: &EvalAlignOptions| -> Vec<String> {
            clips(options).unwrap().iter().map(ListedClip::spoken_text).collect()
        };
        assert_eq!(texts(&options), ["set red by Q one soon", "bin blue at [[ˈA]] two now"]);
        options.all = true;
        assert_eq!(texts(&options), ["set red by C one soon", "bin blue at [[ˈA]] two now"]);
    }

    #[test]
    fn figures_are_their_definitions() {
        let values: Vec<f64> = figures(&[10.0, -30.0, 20.0, 160.0]).iter().map(|figure| figure.value).collect();
        assert_eq!(values, [55.0, 30.0, 40.0, 0.25]);
    }
}
