//! Why a training or an evaluation ended before its end.

use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::device::BackendError;

/// What the caller can do about a failed training or evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// An option has no meaning here: give another.
    #[error("{0}")]
    Options(String),
    /// The prepared corpus cannot be used: prepare it again, or give another folder.
    #[error("{0}")]
    Data(String),
    /// A checkpoint or a model file does not fit: give another, or start afresh.
    #[error("{path}: {reason}", path = path.display())]
    Checkpoint {
        /// What is wrong with it.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written: see to its folder, rights and space.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The losses are no numbers any more: lower the learning rate and start from an earlier checkpoint.
    #[error(
        "training diverged at step {step}: {count} steps in a row had a gradient that is not finite; try a lower --lr"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// How many steps were skipped in a row.
        count: u64,
    },
    /// The nets failed: a bug or a device out of memory.
    #[error("the nets failed: {0}")]
    Nets(#[from] candle_core::Error),
}

/// Result of this module.
pub type Result<T> = std::result::Result<T, TrainError>;

impl From<DataError> for TrainError {
    fn from(error: DataError) -> Self {
        Self::Data(error.to_string())
    }
}

impl From<BackendError> for TrainError {
    fn from(error: BackendError) -> Self {
        Self::Options(error.to_string())
    }
}

impl TrainError {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Io { action: "read", path: path.to_path_buf(), source }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Io { action: "write", path: path.to_path_buf(), source }
    }

    pub(crate) fn checkpoint(path: &Path, reason: impl ToString) -> Self {
        Self::Checkpoint { reason: reason.to_string(), path: path.to_path_buf() }
    }
}
