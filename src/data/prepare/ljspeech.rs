//! The layout of LJSpeech: recordings of a person, with what was said.
//!
//! `metadata.csv` has a line "id|text|normalised text" or "id|text" for every recording, without quoting; the recording
//! is `wavs/ID.wav`, or `.flac`, or beside the list. There are no times: without an aligner these items have no symbols and
//! no durations, and train vocoders alone; with one they train voices.

use std::path::Path;

use super::{lines, recording_path};
use crate::data::{DataError, Result, audio};

/// One line of `metadata.csv`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) id: String,
    /// The normalised text where there is one.
    pub(super) text: String,
}

/// The lines of a list.
pub(super) fn rows(list: &Path) -> Result<Vec<Row>> {
    let row = |(number, line): (usize, String)| {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        match *fields.as_slice() {
            [id, .., text] if !id.is_empty() && fields.len() <= 3 => Ok(Row { id: id.into(), text: text.into() }),
            _ => {
                let why = format!("line {number} is not: id|text or id|text|normalised text");
                Err(DataError::Corpus { why, path: list.to_path_buf() })
            }
        }
    };
    lines(list)?.into_iter().map(row).collect()
}

/// The recording of a row at `sample_rate`, cut to whole mel frames.
pub(super) fn read(corpus: &Path, row: &Row, sample_rate: u32, hop_length: usize) -> Result<Vec<f32>> {
    let mut pcm = audio::read(&recording_path(corpus, &row.id)?)?.resampled(sample_rate).pcm;
    pcm.truncate(pcm.len() / hop_length * hop_length);
    if pcm.is_empty() {
        return Err(DataError::item(&row.id, "its recording is shorter than one mel frame"));
    }
    Ok(pcm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_two_and_three_columns_are_read_and_others_refused() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("metadata.csv");
        std::fs::write(&list, "a|In 1.|In one.\nb|\"Two\", he said.\n\n").unwrap();
        let row = |id: &str, text: &str| Row { id: id.into(), text: text.into() };
        assert_eq!(rows(&list).unwrap(), [row("a", "In one."), row("b", "\"Two\", he said.")]);
        for bad in ["only-an-id\n", "a|b|c|d\n", "|text\n"] {
            std::fs::write(&list, bad).unwrap();
            assert!(rows(&list).unwrap_err().to_string().contains("line 1"), "{bad}");
        }
    }
}
