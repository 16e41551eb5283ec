//! Paravox: audio-visual text-to-speech from one duration sequence.

pub mod cue;
pub mod data;
mod engine;
mod error;
#[cfg(feature = "playback")]
pub mod playback;
pub mod sink;
pub mod text;
pub mod timeline;
pub mod voice;

pub use engine::TextSource;
pub use error::{Error, Result};
