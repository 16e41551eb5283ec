//! Where results go: a file, a channel, nowhere.
//!
//! The engine pushes into a [`Sink`] and holds nothing back, so a text of any length passes in constant memory and the first
//! sentence can be heard while the second is made.

mod channel;
mod cues;
mod mp4;
mod null;
pub(crate) mod output;
mod tee;
mod wav;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cue::Cue;
use crate::timeline::Fps;

pub use channel::{ChannelSink, Event};
pub use cues::CueSink;
pub(crate) use mp4::CUES_BOX;
pub use mp4::{Mp4Sink, Mp4StreamSink};
pub use null::NullSink;
pub use tee::TeeSink;
pub use wav::{WavSink, WavStreamSink};

/// What a stream is made of; told to a sink before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamInfo {
    /// PCM samples a second; the sound is mono.
    pub sample_rate: u32,
    /// The pictures, or `None` for sound alone.
    pub video: Option<VideoInfo>,
}

/// The pictures of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoInfo {
    /// Width of every picture in pixels.
    pub width: u32,
    /// Height of every picture in pixels.
    pub height: u32,
    /// Video frames a second.
    pub fps: Fps,
}

/// One video frame: 8-bit RGB, row by row from the top, 3 bytes a pixel and no padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

/// Receives speech and pictures as they are made.
///
/// # For callers
/// [`begin`](Sink::begin) comes first and once; then any mix of [`pcm`](Sink::pcm), [`picture`](Sink::picture) and
/// [`cue`](Sink::cue); then [`finish`](Sink::finish). Pieces of PCM may have any length, also none. Pictures come in order,
/// one for each video frame `k` of the stream, which shows the moment `(k + 0.5) / fps`. Sound and pictures need not
/// alternate in step, but a sink that writes both holds back the one that is ahead, so keep them within a sentence of each
/// other.
///
/// Any error ends the stream: call nothing more and drop the sink. A sink that is dropped before `finish` has returned `Ok`
/// leaves nothing behind under the final name.
///
/// # For implementations
/// Do not panic on calls out of order or pictures of another size than announced: return [`SinkError::Misuse`]. Do not keep
/// what grows with the length of the text, an index of media data excepted. A sink that has no use for a kind of data
/// accepts and ignores it.
pub trait Sink: Send {
    /// Opens the stream.
    ///
    /// # Errors
    /// [`SinkError::Io`] where the target cannot be written, [`SinkError::Unsupported`] where it cannot hold such a stream.
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError>;

    /// Takes the next PCM samples, mono, full scale at -1 and 1; beyond that they are clipped.
    ///
    /// # Errors
    /// [`SinkError::Io`], [`SinkError::Closed`] where nobody listens any more.
    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError>;

    /// Takes the next video frame.
    ///
    /// # Errors
    /// As [`Sink::pcm`], and [`SinkError::Misuse`] where its size is not the one announced.
    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError>;

    /// Takes a cue, in PCM samples from the start of the stream.
    ///
    /// # Errors
    /// As [`Sink::pcm`].
    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError>;

    /// Completes the stream. A file gets its final name here and not before.
    ///
    /// # Errors
    /// As [`Sink::pcm`], and [`SinkError::Misuse`] where the stream was never begun.
    fn finish(self: Box<Self>) -> Result<(), SinkError>;
}

/// Why a sink could not go on, by what the caller can do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The system refused: no such folder, no permission, no space. Another target may do.
    #[error("cannot {action}: {source}: {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
        /// The target as the caller named it.
        path: PathBuf,
    },
    /// The receiver is gone; there is nobody to go on for.
    #[error("the receiver has gone away")]
    Closed,
    /// The target cannot hold a stream of this kind.
    #[error("{0}")]
    Unsupported(String),
    /// A fault of the caller: calls out of order, a picture of another size.
    #[error("wrong use of a sink: {0}")]
    Misuse(String),
    /// A codec failed on valid input.
    #[error("cannot encode {what}: {reason}")]
    Encode {
        /// Sound or picture.
        what: &'static str,
        /// The codec's reason.
        reason: String,
    },
}

impl SinkError {
    /// An [`SinkError::Io`] about `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { action, source, path: path.to_owned() }
    }

    pub(crate) fn not_begun() -> Self {
        Self::Misuse("begin() must come first".into())
    }

    pub(crate) fn begun_twice() -> Self {
        Self::Misuse("begin() was called twice".into())
    }
}

impl Picture {
    /// Checks that the picture is what `info` announced and that its pixels are all there.
    pub(crate) fn check(&self, info: &VideoInfo) -> Result<(), SinkError> {
        if (self.width, self.height) != (info.width, info.height) {
            return Err(SinkError::Misuse(format!(
                "a picture of {}x{} in a stream of {}x{}",
                self.width, self.height, info.width, info.height
            )));
        }
        let bytes = 3 * self.width as usize * self.height as usize;
        if self.rgb.len() != bytes {
            return Err(SinkError::Misuse(format!("a picture of {} bytes instead of {bytes}", self.rgb.len())));
        }
        Ok(())
    }
}
