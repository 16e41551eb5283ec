//! Text to symbols: sentence split, normalisation, pronunciation.

mod symbol;

pub use symbol::{INVENTORY, Phoneme, SentenceKind, Stress, Symbol};
