//! Paravox: audio-visual text-to-speech from one duration sequence.

pub mod data;
mod error;
pub mod cue;
pub mod sink;
pub mod text;
pub mod timeline;

pub use error::{Error, Result};
