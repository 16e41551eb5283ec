//! Text to symbols: sentence split, normalisation, pronunciation.

mod clean;
mod error;
mod heteronyms;
pub mod letter_to_sound;
mod lexicon;
mod normalise;
mod oov;
pub mod phonemes;
mod pronounce;
mod split;
mod symbol;
mod utterance;
pub mod viseme;

pub use error::TextError;
pub use lexicon::{LexiconError, UserLexicon};
pub use symbol::{INVENTORY, Phoneme, SentenceKind, Stress, Symbol};
pub use utterance::{FrontEnd, FrontEndOptions, Utterance, Word};
pub use viseme::Viseme;
