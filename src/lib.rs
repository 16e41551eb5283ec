//! Paravox: audio-visual text-to-speech from one duration sequence.

pub mod cue;
pub mod data;
pub mod face;
mod engine;
mod error;
#[cfg(feature = "playback")]
pub mod playback;
pub mod sink;
pub mod text;
pub mod timeline;
pub mod voice;
#[cfg(feature = "train")]
pub mod metrics;
#[cfg(feature = "train")]
pub mod train;

pub use engine::{Engine, EngineOptions, Plan, PlannedSentence, SpeakOptions, Spoken, TextSource, VideoOptions};
pub use error::{Error, Result};
