//! Integration tests: one binary, one module per concern.

#![allow(clippy::unwrap_used, reason = "a panic in a test is a failing test with its line number")]

// Bad input: one clear line, a status that is not 0, nothing half-written.
mod bad_input;
// The built-in voice and faces.
mod defaults;
// The library as programs use it: threads, seeds, plans, errors.
mod engine_api;
// MP4 files read by FFmpeg: tracks, times, pictures, sound.
mod mp4;
// Live output on a sound server and a virtual screen.
#[cfg(feature = "playback")]
mod playback;
// Recordings become data to train on.
mod prepare;
// Pace, pitch, volume, pauses and melody as they are heard.
mod prosody;
// The README, the help and ARCHITECTURE.md say what is so.
mod readme;
// The same bytes on any number of threads.
mod repeatable;
// Text that comes in pieces: sessions, cancelling, receipts.
mod session;
// Files that `paravox speak` writes.
mod speak;
// What goes to stdout while it is being made, and programs that are killed.
mod stream;
// A package of random nets, and the program.
mod util;
// `paravox verify`: whole films, and each way to damage one.
mod verify;
// Voices by name, by folder, and several in one model.
mod voices;
