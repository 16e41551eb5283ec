//! Corpora into datasets.
//!
//! | function | reads | writes |
//! |---|---|---|
//! | [`speech()`] | the teacher's corpus (`corpus.jsonl` + `wavs/`), the LJSpeech layout (`metadata.csv`) or the GRID layout (`clips.tsv`) | [`super::speech`] |
//! | [`lips()`] | the GRID layout (`clips.tsv`) or the TCD-TIMIT layout (`volunteers/`) | [`super::lips`] |
//!
//! An item that cannot be used is left out with a warning and counted; a corpus without one usable item is an error.
//! Items are worked on in parallel, a chunk at a time, and stored in the order of the corpus, so that the same corpus
//! gives the same dataset on any machine and memory stays bounded.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{DataError, Result};

mod crop;
mod grid;
mod landmarks;
pub mod lips;
mod listed_clip;
mod ljspeech;
mod settle;
#[cfg(test)]
pub(crate) mod small_grid;
pub mod speech;
mod tcd_timit;
mod teacher;

pub(crate) use grid::{GridClip, clips_of as grid_clips};
pub(crate) use landmarks::Face as FacePoints;
pub use lips::{LipsOptions, lips};
pub(crate) use listed_clip::ListedClip;
pub use speech::{SpeechOptions, TimesFrom, speech};

/// Where preparation stands.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Items that were stored or left out.
    pub done: usize,
    /// Items of the corpus.
    pub total: usize,
    /// Why the item that was just done is left out.
    pub warning: Option<&'a str>,
}

/// What came of a preparation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Items stored.
    pub stored: usize,
    /// Items left out, each with a warning before.
    pub left_out: usize,
    /// Length of what was stored.
    pub seconds: f64,
}

/// Items in work at once: enough to keep every core busy, few enough to hold in memory.
const CHUNK: usize = 32;

/// Works on `inputs` in parallel and stores the results in order; `store` returns the length in seconds.
fn each<T: Sync, R: Send>(
    corpus: &Path,
    inputs: &[T],
    work: impl Fn(usize, &T) -> Result<R> + Sync,
    mut store: impl FnMut(R) -> Result<f64>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut first_warning = None;
    for (chunk, start) in inputs.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        let results: Vec<Result<R>> = chunk.par_iter().enumerate().map(|(i, input)| work(start + i, input)).collect();
        for result in results {
            let warning = match result {
                Ok(item) => {
                    summary.seconds += store(item)?;
                    summary.stored += 1;
                    None
                }
                // A missing program would fail every item alike.
                Err(error @ DataError::Program { .. }) => return Err(error),
                Err(error) => {
                    summary.left_out += 1;
                    Some(error.to_string())
                }
            };
            let done = summary.stored + summary.left_out;
            progress(Progress { done, total: inputs.len(), warning: warning.as_deref() });
            first_warning = first_warning.or(warning);
        }
    }
    if summary.stored == 0 {
        let why = match first_warning {
            Some(warning) => format!("none of the {} items can be used; the first: {warning}", inputs.len()),
            None => "the corpus has no items".into(),
        };
        return Err(DataError::Corpus { why, path: corpus.to_path_buf() });
    }
    Ok(summary)
}

/// The lines of a text file that are not empty, with their numbers from 1.
fn lines(path: &Path) -> Result<Vec<(usize, String)>> {
    let text = std::fs::read_to_string(path).map_err(DataError::io(path))?;
    let numbered = text.lines().enumerate().map(|(i, line)| (i + 1, line.to_string()));
    Ok(numbered.filter(|(_, line)| !line.trim().is_empty()).collect())
}

/// The recording of an item: `wavs/ID` or `ID`, FLAC or WAV.
fn recording_path(corpus: &Path, id: &str) -> Result<PathBuf> {
    let names = [format!("wavs/{id}.flac"), format!("wavs/{id}.wav"), format!("{id}.flac"), format!("{id}.wav")];
    let found = names.into_iter().map(|name| corpus.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| DataError::item(id, "no recording of that name, .flac or .wav, beside the list or in wavs/"))
}
