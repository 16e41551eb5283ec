//! Paravox: audio-visual text-to-speech from one duration sequence.

pub mod data;
mod error;
pub mod text;

pub use error::{Error, Result};
