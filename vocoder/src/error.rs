//! The error of this crate: one variant for each thing that the caller can do about it.

/// Result with [`VocoderError`].
pub type Result<T> = std::result::Result<T, VocoderError>;

/// What went wrong, by what the caller can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocoderError {
    /// The data handed in have the wrong size or hold values out of range: fix the call.
    #[error("{0}")]
    Input(String),
    /// A configuration contradicts itself or asks for something that does not exist: fix the file.
    #[error("bad vocoder configuration: {0}")]
    Config(String),
    /// A checkpoint cannot be read or does not fit the configuration: choose another file.
    #[error("bad vocoder checkpoint: {0}")]
    Checkpoint(String),
    /// The tensor library failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl VocoderError {
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }
}
