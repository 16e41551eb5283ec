//! Paravox: audio-visual text-to-speech from one duration sequence.

mod error;
pub mod text;

pub use error::{Error, Result};
