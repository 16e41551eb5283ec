//! A package: a folder (or the same files built into the program) with a manifest, weights, faces and cards.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::manifest::{FaceEntry, Manifest};
use crate::error::{Error, Result};
use crate::face::FaceAsset;

/// The file that names all others.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The files of a face's folder.
const FACE_FILE: &str = "face.json";
const PICTURE_FILE: &str = "picture.png";
const CROP_FILE: &str = "crop.png";
const PERFORMANCE_FILE: &str = "performance.json";
const BLINK_FILE: &str = "blink.png";

/// Where the files of a package are.
#[derive(Debug, Clone)]
enum Place {
    Folder(PathBuf),
    /// (path inside the package, content)
    Embedded(&'static [(&'static str, &'static [u8])]),
}

/// A set of voices and faces with the hashes of their files.
#[derive(Debug, Clone)]
pub struct Package {
    place: Place,
    manifest: Manifest,
}

impl Package {
    /// Opens a folder that holds a manifest.
    ///
    /// # Errors
    /// [`Error::Io`] when the manifest cannot be read, [`Error::Package`] when it is not one.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let path = folder.join(MANIFEST_FILE);
        let json = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let manifest = Manifest::parse(&json).map_err(|message| Error::package(&path, message))?;
        Ok(Self { place: Place::Folder(folder.to_path_buf()), manifest })
    }

    /// A package whose files are in the program; `None` where there is no manifest among them.
    pub(super) fn embedded(files: &'static [(&'static str, &'static [u8])]) -> Result<Option<Self>> {
        let Some((name, json)) = files.iter().find(|(name, _)| *name == MANIFEST_FILE) else { return Ok(None) };
        let manifest =
            Manifest::parse(json).map_err(|message| Error::package(Path::new("(built in)").join(name), message))?;
        Ok(Some(Self { place: Place::Embedded(files), manifest }))
    }

    /// What the package holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The path of a file as messages show it.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        match &self.place {
            Place::Folder(folder) => folder.join(name),
            Place::Embedded(_) => Path::new("(built in)").join(name),
        }
    }

    /// Reads a file and, if it comes from a folder, compares it with its hash: a truncated or changed file is found
    /// here and not as noise in the loudspeaker. The built-in files are compared by a test instead.
    pub(crate) fn read(&self, name: &str) -> Result<Cow<'static, [u8]>> {
        let path = self.path_of(name);
        match &self.place {
            Place::Embedded(files) => files
                .iter()
                .find(|(file, _)| *file == name)
                .map(|(_, content)| Cow::Borrowed(*content))
                .ok_or_else(|| Error::package(path, "not built into this program")),
            Place::Folder(_) => {
                if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
                    return Err(Error::package(path, "the manifest may only name files inside the package"));
                }
                let expected = self.manifest.sha256.get(name).ok_or_else(|| {
                    Error::package(
                        &path,
                        "manifest.json gives no sha256 for this file: add it or make the package anew",
                    )
                })?;
                let content = std::fs::read(&path).map_err(Error::io("read", &path))?;
                if !sha256_hex(&content).eq_ignore_ascii_case(expected) {
                    return Err(Error::package(
                        path,
                        "damaged: its sha256 differs from manifest.json's; copy the file again",
                    ));
                }
                Ok(Cow::Owned(content))
            }
        }
    }

    /// A face of the package.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Package`] for its files.
    pub(crate) fn face(&self, entry: &FaceEntry) -> Result<FaceAsset> {
        let path = |name: &str| format!("{}/{name}", entry.folder.trim_end_matches('/'));
        let read = |name: &str| self.read(&path(name));
        let optional = |name: &str| self.manifest.sha256.contains_key(&path(name)).then(|| read(name)).transpose();
        let (json, picture, crop) = (read(FACE_FILE)?, read(PICTURE_FILE)?, read(CROP_FILE)?);
        let (performance, blink) = (optional(PERFORMANCE_FILE)?, optional(BLINK_FILE)?);
        FaceAsset::from_bytes(&json, &picture, &crop)
            .and_then(|face| match performance {
                Some(performance) => face.with_performance(&performance, blink.as_deref()),
                None => Ok(face),
            })
            .map_err(|error| Error::package(self.path_of(&entry.folder), error))
    }
}

/// SHA-256 as lower-case hexadecimal.
pub fn sha256_hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &Path, weights: &str, sha256: &str) -> Package {
        let json = format!(
            r#"{{"schema": 1, "default_voice": "a", "sha256": {{"{weights}": "{sha256}"}}, "voices": [{{"name": "a",
            "description": "d", "licence": "l", "origin": "o", "weights": "{weights}", "vocoder": "v"}}]}}"#
        );
        std::fs::write(folder.join(MANIFEST_FILE), json).unwrap();
        Package::open(folder).unwrap()
    }

    #[test]
    fn a_changed_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w"), b"abc").unwrap();
        // FIPS 180-4's example: SHA-256("abc").
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(&*package(folder.path(), "w", hash).read("w").unwrap(), b"abc");
        std::fs::write(folder.path().join("w"), b"ab").unwrap();
        let error = package(folder.path(), "w", hash).read("w").unwrap_err();
        assert!(matches!(error, Error::Package { .. }), "{error}");
    }

    #[test]
    fn a_name_that_leaves_the_package_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../w", "/etc/hostname", "a/../../w"] {
            let error = package(folder.path(), name, "00").read(name).unwrap_err();
            assert!(matches!(error, Error::Package { .. }), "{error}");
        }
    }

    #[test]
    fn a_folder_without_manifest_is_an_io_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Package::open(folder.path()), Err(Error::Io { .. })));
    }
}
