//! Text to symbols: sentence split, normalisation, pronunciation.

mod clean;
mod error;
mod foreign_names;
#[cfg(test)]
mod hard_text;
mod heteronyms;
mod intonation;
pub mod letter_to_sound;
mod lexicon;
mod normalise;
mod oov;
mod passage;
pub mod phonemes;
mod pronounce;
mod split;
mod ssml;
mod symbol;
mod utterance;
pub mod viseme;

pub use error::TextError;
pub(crate) use intonation::rise;
pub use lexicon::{LexiconError, UserLexicon};
pub(crate) use passage::{Passage, Style, char_count};
pub(crate) use ssml::LONGEST_BYTES as LONGEST_SSML_BYTES;
pub use symbol::{INVENTORY, Phoneme, SentenceKind, Stress, Symbol};
pub(crate) use utterance::Directed;
pub use utterance::{FrontEnd, FrontEndOptions, Utterance, Word};
pub use viseme::Viseme;
