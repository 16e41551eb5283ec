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
    file!("voices-us.safetensors"),
    file!("vocoder-heart.safetensors"),
    file!("vocoder-michael.safetensors"),
    file!("lips-grid.safetensors"),
    file!("aligner.safetensors"),
    file!("cards/heart.md"),
    file!("cards/michael.md"),
    file!("cards/grid-faces.md"),
    file!("faces/grid-s1/blink.png"),
    file!("faces/grid-s1/crop.png"),
    file!("faces/grid-s1/face.json"),
    file!("faces/grid-s1/performance.json"),
    file!("faces/grid-s1/picture.png"),
    file!("faces/grid-s4/blink.png"),
    file!("faces/grid-s4/crop.png"),
    file!("faces/grid-s4/face.json"),
    file!("faces/grid-s4/performance.json"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::{MANIFEST_FILE, sha256_hex};

    /// Files from a folder are compared with the manifest when they are read; these are compared here.
    #[test]
    fn files_are_those_of_the_manifest() {
        let package = Package::built_in().unwrap();
        for (name, content) in FILES.iter().filter(|(name, _)| *name != MANIFEST_FILE) {
            assert_eq!(package.manifest().sha256.get(*name), Some(&sha256_hex(content)), "{name}");
        }
        let bytes: usize = FILES.iter().map(|(_, content)| content.len()).sum();
        assert!(bytes < 60 << 20, "{bytes} bytes are too many to carry");
        for voice in &package.manifest().voices {
            for file in [Some(&voice.weights), Some(&voice.vocoder), voice.lips.as_ref(), voice.card.as_ref()] {
                package.read(file.expect("the shipped voice has lips and a card")).unwrap();
            }
        }
        for face in &package.manifest().faces {
            package.face(face).unwrap();
        }
    }
}
