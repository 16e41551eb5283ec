//! Paravox: audio-visual text-to-speech from one duration sequence.

pub mod text;
