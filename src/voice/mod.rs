//! Voices and faces as files: packages, their manifest, and the nets loaded from them.

mod built_in;
mod manifest;
mod package;

pub use manifest::{FaceEntry, Manifest, SCHEMA, VoiceEntry};
pub use package::{MANIFEST_FILE, Package, sha256_hex};
