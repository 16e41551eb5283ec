//! Paravox: audio-visual text-to-speech from one duration sequence.

pub mod align;
pub mod cue;
pub mod data;
pub mod device;
mod engine;
mod error;
pub mod face;
#[cfg(feature = "train")]
pub mod metrics;
#[cfg(feature = "playback")]
pub mod playback;
#[cfg(feature = "train")]
pub mod reader;
pub mod sink;
pub mod text;
pub mod timeline;
#[cfg(feature = "train")]
pub mod train;
pub mod verify;
pub mod voice;

pub use engine::{
    Closing, Engine, EngineOptions, IdleFace, Plan, PlannedSentence, Receipt, Session, SessionOptions, SpeakOptions,
    Spoken, TextSource, VideoOptions,
};
pub use error::{Error, Result};

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
