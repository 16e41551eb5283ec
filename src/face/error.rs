//! What can go wrong with faces, by what the caller can do about it.

use std::path::PathBuf;

use crate::data::DataError;

/// An error of [`crate::face`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaceError {
    /// A file or folder cannot be read or written: check the path, its permissions and the free space.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The face is damaged or does not hang together: build it again.
    #[error("face {name} cannot be used: {why}")]
    Invalid {
        /// The face, or the folder that was to hold one.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The corpus has no clip that makes a face: choose another clip or speaker.
    #[error("no face can be built of {clip}: {why}")]
    Clip {
        /// Speaker, or speaker and clip.
        clip: String,
        /// What is missing.
        why: String,
    },
    /// The corpus cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}
