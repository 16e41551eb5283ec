//! Text to symbols: sentence split, normalisation, pronunciation.

mod error;
pub mod phonemes;
mod symbol;
pub mod viseme;

pub use error::TextError;
pub use symbol::{INVENTORY, Phoneme, SentenceKind, Stress, Symbol};
pub use viseme::Viseme;
