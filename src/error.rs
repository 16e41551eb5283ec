//! The one error type of the engine: its variants tell the caller what to do next.

use std::path::{Path, PathBuf};

/// What went wrong, by what the caller can do about it. The messages are one line and may be reworded; the variant is
/// the contract.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request cannot be served as it is: ask for something else (no words in the text, unknown voice, a speed or
    /// length out of range).
    #[error("{0}")]
    Request(String),

    /// The text cannot be read: it is not UTF-8, or it is binary data.
    #[error("{0}")]
    Text(String),

    /// A file or folder could not be read or written: check the path, the permissions and the space left.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// Weights, a configuration or a face do not fit this program or are damaged: replace the file.
    #[error("{}: {message}", path.display())]
    Package {
        /// The file or folder that does not fit.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },

    /// The sink refused: see [`SinkError`](crate::sink::SinkError) for what each variant asks for.
    #[error(transparent)]
    Sink(#[from] crate::sink::SinkError),

    /// A net failed while running: out of memory, or a fault of this program worth a report.
    #[error("synthesis failed: {0}")]
    Synthesis(String),
}

/// Result of the engine's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps an I/O error with what was tried on which path.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// A damaged or foreign file of a package.
    pub(crate) fn package(path: impl AsRef<Path>, message: impl ToString) -> Self {
        Self::Package { path: path.as_ref().to_path_buf(), message: message.to_string() }
    }

    /// Whether the request itself must change: the command line then exits with status 2.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Request(_))
    }
}

impl From<crate::timeline::TimelineError> for Error {
    fn from(error: crate::timeline::TimelineError) -> Self {
        Self::Synthesis(error.to_string())
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        // candle appends a backtrace on further lines; the first line is the message.
        Self::Synthesis(error.to_string().lines().next().unwrap_or_default().to_string())
    }
}
