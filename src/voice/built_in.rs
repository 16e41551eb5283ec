//! The package that is compiled into the program.

use super::package::Package;
use crate::error::{Error, Result};

macro_rules! file {
    ($path:literal) => {
        ($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/weights/", $path)))
    };
}

/// The files of `models/weights`: (path inside the package, content).
const FILES: &[(&str, &[u8])] = &[
    file!("manifest.json"),
    file!("voice-heart.safetensors"),
    file!("vocoder-heart.safetensors"),
    file!("lips-grid.safetensors"),
    file!("cards/heart.md"),
    file!("cards/grid-faces.md"),
    file!("faces/grid-s1/crop.png"),
    file!("faces/grid-s1/face.json"),
    file!("faces/grid-s1/picture.png"),
    file!("faces/grid-s4/crop.png"),
    file!("faces/grid-s4/face.json"),
    file!("faces/grid-s4/picture.png"),
];

impl Package {
    /// The voices and faces that this program carries.
    ///
    /// # Errors
    /// [`Error::Package`] in a build that carries none.
    pub fn built_in() -> Result<Self> {
        Self::embedded(FILES)?.ok_or_else(|| {
            Error::package("(built in)", "this build carries no voice: give the folder of a package with --voice")
        })
    }
}
