//! Voices and faces as files: packages, their manifest, and the nets loaded from them.

mod built_in;
mod contour;
#[cfg(feature = "train")]
mod export;
mod lips;
mod manifest;
mod motion;
pub(crate) mod mouth;
mod nets;
mod package;
mod pcm;
mod weights_file;

pub(crate) use contour::Contour;
#[cfg(feature = "train")]
pub use export::{Nets, export, export_voice, seal};
pub(crate) use lips::{LipsIdentity, LipsNets};
pub use manifest::{FaceEntry, Manifest, SCHEMA, VoiceEntry};
pub(crate) use motion::{mix, smooth};
pub(crate) use nets::VoiceNets;
pub use package::{MANIFEST_FILE, Package, sha256_hex};
pub(crate) use pcm::PcmStream;
