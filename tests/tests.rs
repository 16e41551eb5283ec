//! Integration tests: one binary, one module per concern.

#![allow(clippy::unwrap_used, reason = "a panic in a test is a failing test with its line number")]

// MP4 files read by FFmpeg: tracks, times, pictures, sound.
mod mp4;
