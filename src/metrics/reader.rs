//! What a lip reader is worth: how much it reads wrongly in real clips, and how close the times that it finds without sound
//! come to those that the corpus has from sound.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Figure, Mean};
use crate::data::{LipsDataset, Split};
use crate::reader::{Errors, Reader, spread_evenly};
use crate::train::lips_corpus::choose;
use crate::train::{Result, TrainError};

/// Options of [`eval_reader`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EvalReaderOptions {
    /// Folder of the prepared lip corpus.
    pub data: PathBuf,
    /// Folder of the training.
    pub reader: PathBuf,
    /// Speakers to evaluate; empty: all.
    pub speakers: Vec<String>,
    /// At most this many clips, the first of the split; `None`: all.
    pub max_clips: Option<usize>,
}

impl EvalReaderOptions {
    /// All test clips of a corpus.
    pub fn new(data: impl Into<PathBuf>, reader: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), reader: reader.into(), speakers: Vec::new(), max_clips: None }
    }
}

/// What a lip reader is worth.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ReaderReport {
    /// Clips read.
    pub clips: usize,
    /// Phonemes said in them.
    pub phonemes: usize,
    /// Words said in them.
    pub words: usize,
    /// Figures over all clips.
    pub figures: Vec<Figure>,
}

/// Reads the test clips of a corpus.
///
/// # Errors
/// [`TrainError`]: files that cannot be read or do not fit together, or no such clip.
pub fn eval_reader(options: &EvalReaderOptions) -> Result<ReaderReport> {
    let dataset = LipsDataset::open(&options.data)?;
    let reader = Reader::open(&options.reader)?;
    let mut clips = choose(&dataset, Split::Test, &options.speakers);
    clips.truncate(options.max_clips.unwrap_or(usize::MAX));
    if clips.is_empty() {
        return Err(TrainError::Data(format!("{}: no test clip of these speakers", options.data.display())));
    }
    measure(&reader, &dataset, &clips)
}

/// The figures of clips of a dataset.
pub(crate) fn measure(reader: &Reader, dataset: &LipsDataset, clips: &[usize]) -> Result<ReaderReport> {
    let mut errors = Errors::default();
    let [mut word, mut phoneme, mut word_bias, mut phoneme_bias] = [Mean::default(); 4];
    for &i in clips {
        let meta = dataset.meta(i);
        let seen = reader.look(dataset.pixels(i))?;
        errors += seen.errors(&meta.symbols);
        let Some(times) = seen.times(&meta.symbols, f64::from(meta.fps)) else { continue };
        for ((symbol, found), heard) in meta.symbols.iter().zip(times).zip(&meta.boundaries_s) {
            let late_ms = f64::from(found - heard) * 1000.0;
            if !symbol.phoneme.is_pause() {
                phoneme.add(late_ms.abs());
                phoneme_bias.add(late_ms);
            }
            if symbol.word_start {
                word.add(late_ms.abs());
                word_bias.add(late_ms);
            }
        }
    }
    let figure = |name, value, unit| Figure { name, value, unit, higher_is_better: false };
    let rate = |part: usize, of: usize| part as f64 / of as f64;
    let mean = |mean: Mean| mean.value().unwrap_or(f64::NAN);
    Ok(ReaderReport {
        clips: clips.len(),
        phonemes: errors.phonemes,
        words: errors.words,
        figures: vec![
            figure("phoneme_error_rate", rate(errors.edits, errors.phonemes), ""),
            figure("misread_words", rate(errors.misread_words, errors.words), ""),
            figure("phoneme_start_error", mean(phoneme), "ms"),
            figure("phoneme_start_bias", mean(phoneme_bias), "ms"),
            figure("word_start_error", mean(word), "ms"),
            figure("word_start_bias", mean(word_bias), "ms"),
        ],
    })
}

/// Writes a corpus like the one in `data` whose symbols have the times that a reader finds in the films alone or, without
/// one, times to start a reader from: spread evenly over the time in which the lips move. It shares the films themselves.
/// Returns how many clips it has.
///
/// # Errors
/// [`TrainError`]: files that cannot be read or written or do not fit together, and a clip that is too short for its text.
pub fn align_lips(data: &Path, reader: Option<&Path>, out: &Path) -> Result<usize> {
    let dataset = LipsDataset::open(data)?;
    let reader = reader.map(Reader::open).transpose()?;
    let times = |i: usize| {
        let (meta, film) = (dataset.meta(i), dataset.pixels(i));
        let Some(reader) = &reader else { return Ok(spread_evenly(film, &meta.symbols, f64::from(meta.fps))) };
        reader
            .look(film)?
            .times(&meta.symbols, f64::from(meta.fps))
            .ok_or_else(|| TrainError::Data(format!("{}/{} is too short for its text", meta.speaker, meta.clip)))
    };
    let times = (0..dataset.len()).map(times).collect::<Result<Vec<_>>>()?;
    crate::data::lips::retime(data, out, times)?;
    Ok(dataset.len())
}
