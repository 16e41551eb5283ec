//! Training features on disk, and how corpora become features.
//!
//! # The dataset folder
//! A dataset is one folder, read by memory mapping, so that opening it costs nothing and only the pages in use are held:
//!
//! | file | what |
//! |---|---|
//! | `manifest.json` | format, version, rates and geometry, number of items, committed bytes of every other file, SHA-256 of the index |
//! | `index.jsonl` | one JSON object an item: name, text, split, symbols, times, and the place and length of its rows in the arrays |
//! | `NAME.TYPE` | one flat little-endian array for all items, in row-major order: `f16`, `f32`, `i16` or `u8` |
//!
//! A symbol is written as the four ids of [`Symbol::features`](crate::text::Symbol::features).
//!
//! **Speech** ([`speech`]), rows of 80 mel bins: `mel.f16` (natural log), `f0.f32` (Hz, 0 = unvoiced), both one row a mel
//! frame, and `pcm.i16` (24 kHz mono), `hop_length` PCM samples a mel frame exactly.
//!
//! **Lips** ([`lips`]), all one row a video frame: `pixels.u8` (80 x 160 x 3, RGB), `affines.f32` (6: crop to picture,
//! [`Affine`]) and `landmarks.f32` (20 x 2: dlib's mouth points 48 to 67 in crop pixels; NaN where a clip has none).
//!
//! # Writing is atomic
//! Arrays and index only grow; `manifest.json` is replaced last, by renaming, and states how many bytes of each file
//! count. So a folder whose writer was stopped is either no dataset yet or still the dataset that it was before. Bytes
//! beyond the committed ones are dropped by the next append. A file that is shorter than committed, an index of another
//! hash, or an item that reaches outside its array is refused.

mod audio;
mod error;
mod folder;
pub mod lips;
pub mod prepare;
pub mod speech;
pub(crate) mod video;

pub use error::DataError;
pub use lips::{LipsDataset, LipsItem};
pub use speech::{SpeechDataset, SpeechItem};

pub use crate::face::Affine;
use serde::{Deserialize, Serialize};

use crate::text::{Phoneme, SentenceKind, Stress, Symbol};

/// Result of everything in this module.
pub type Result<T> = std::result::Result<T, DataError>;

/// What an item is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Trains the nets.
    Train,
    /// Never trained on; watched during training.
    Valid,
    /// Never trained on; for final figures.
    Test,
}

/// Symbols as the index holds them.
fn pack_symbols(symbols: &[Symbol]) -> Vec<[u32; 4]> {
    symbols.iter().map(Symbol::features).collect()
}

/// Inverse of [`pack_symbols`]; `None` where an id is out of range.
fn unpack_symbols(ids: &[[u32; 4]]) -> Option<Vec<Symbol>> {
    ids.iter()
        .map(|&[phoneme, stress, edges, kind]| {
            Some(Symbol {
                phoneme: Phoneme::from_id(phoneme)?,
                stress: *[Stress::None, Stress::Secondary, Stress::Primary].get(stress as usize)?,
                word_start: (edges < 4).then_some(edges & 1 != 0)?,
                word_end: edges & 2 != 0,
                kind: *[SentenceKind::Statement, SentenceKind::Question, SentenceKind::Exclamation]
                    .get(kind as usize)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_survive_packing_and_bad_ids_are_refused() {
        let mut symbols = vec![Symbol::pause(Phoneme::Silence, SentenceKind::Question)];
        for (i, stress) in [Stress::None, Stress::Secondary, Stress::Primary].into_iter().enumerate() {
            for edges in 0..4 {
                symbols.push(Symbol {
                    phoneme: Phoneme::from_id(30 + i as u32).expect("a vowel"),
                    stress,
                    word_start: edges & 1 != 0,
                    word_end: edges & 2 != 0,
                    kind: SentenceKind::Exclamation,
                });
            }
        }
        assert_eq!(unpack_symbols(&pack_symbols(&symbols)), Some(symbols));
        for bad in [[47, 0, 0, 0], [0, 3, 0, 0], [0, 0, 4, 0], [0, 0, 0, 3]] {
            assert_eq!(unpack_symbols(&[bad]), None, "{bad:?}");
        }
    }
}
