//! What can go wrong with corpora and datasets, by what the caller can do about it.

use std::path::{Path, PathBuf};

/// An error of [`crate::data`].
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder cannot be read or written: check the path, its permissions and the free space.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder holds no dataset of this kind: prepare it first.
    #[error("no {kind} dataset in {}: make one with `paravox prepare {kind}`", path.display())]
    NotADataset {
        /// `speech` or `lips`.
        kind: &'static str,
        /// The folder.
        path: PathBuf,
    },
    /// The dataset is damaged, cut short or of another version: prepare it again.
    #[error("dataset is damaged, prepare it again: {why} ({})", path.display())]
    Damaged {
        /// What does not fit.
        why: String,
        /// The file or folder.
        path: PathBuf,
    },
    /// A dataset is there already: append to it or choose another folder.
    #[error("a dataset is there already: append to it, remove it or choose another folder ({})", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The corpus is not in the layout that was expected: correct it or choose the other layout.
    #[error("{why} ({})", path.display())]
    Corpus {
        /// What is wrong and what was expected.
        why: String,
        /// The file or folder.
        path: PathBuf,
    },
    /// A program that preparation needs is missing or failed.
    #[error("{program} {why}")]
    Program {
        /// The program.
        program: &'static str,
        /// What happened and what to do.
        why: String,
    },
    /// One item of a corpus, or one that was to be stored, does not hang together: correct it or leave it out.
    #[error("item {id} cannot be used: {why}")]
    Item {
        /// The item.
        id: String,
        /// What does not fit.
        why: String,
    },
}

impl DataError {
    /// For `map_err`: an I/O error with the path that it happened at.
    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }

    pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { why: why.into(), path: path.to_path_buf() }
    }

    pub(crate) fn item(id: &str, why: impl Into<String>) -> Self {
        Self::Item { id: id.to_string(), why: why.into() }
    }
}
