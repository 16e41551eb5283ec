//! Cues into a file format, as they come, in memory that does not grow with the text.

use std::io::{self, Write};
use std::path::Path;

use super::Cue;
use super::blend_shapes::CurveWriter;
use super::json::JsonWriter;
use super::marks::MarkWriter;
use super::subtitles::{SubtitleWriter, Syntax};
use crate::timeline::Fps;

/// A file format of cues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CueFormat {
    /// All cues with their times, as one JSON object.
    Json,
    /// Captions for the web: WebVTT.
    Vtt,
    /// Captions for players: SubRip.
    Srt,
    /// Speech marks as Amazon Polly writes them, one JSON object a line.
    Marks,
    /// The mouth as curves of ARKit's blend shapes, one row each time step of this rate, as JSON.
    BlendShapes(Fps),
}

impl CueFormat {
    /// The format that the ending of a file's name stands for, in any case of letters: `.json`, `.vtt`, `.srt`, `.ndjson` or
    /// `.marks`.
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "vtt" => Some(Self::Vtt),
            "srt" => Some(Self::Srt),
            "ndjson" | "marks" => Some(Self::Marks),
            _ => None,
        }
    }
}

/// Writes the cues of one stream in a format.
pub struct CueWriter<W: Write> {
    inner: Inner<W>,
}

enum Inner<W> {
    Json(Box<JsonWriter<W>>),
    Subtitles(SubtitleWriter<W>),
    Marks(MarkWriter<W>),
    Curves(CurveWriter<W>),
}

impl<W: Write> CueWriter<W> {
    /// Begins; times of cues are in PCM samples at `sample_rate`.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn new(format: CueFormat, sample_rate: u32, writer: W) -> io::Result<Self> {
        let inner = match format {
            CueFormat::Json => Inner::Json(Box::new(JsonWriter::new(sample_rate, writer))),
            CueFormat::Vtt => Inner::Subtitles(SubtitleWriter::new(Syntax::Vtt, sample_rate, writer)?),
            CueFormat::Srt => Inner::Subtitles(SubtitleWriter::new(Syntax::Srt, sample_rate, writer)?),
            CueFormat::Marks => Inner::Marks(MarkWriter::new(sample_rate, writer)),
            CueFormat::BlendShapes(rate) => Inner::Curves(CurveWriter::new(rate, sample_rate, writer)?),
        };
        Ok(Self { inner })
    }

    /// Takes the next cue; cues come sentence by sentence, those of a sentence in order of their start.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn push(&mut self, cue: &Cue) -> io::Result<()> {
        match &mut self.inner {
            Inner::Json(writer) => writer.push(cue),
            Inner::Subtitles(writer) => writer.push(cue),
            Inner::Marks(writer) => writer.push(cue),
            Inner::Curves(writer) => writer.push(cue),
        }
    }

    /// Completes the file of a stream of `total_samples` PCM samples and gives the writer back.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn finish(self, total_samples: u64) -> io::Result<W> {
        match self.inner {
            Inner::Json(writer) => writer.finish(total_samples),
            Inner::Subtitles(writer) => writer.finish(),
            Inner::Marks(writer) => Ok(writer.finish()),
            Inner::Curves(writer) => writer.finish(total_samples),
        }
    }
}

/// PCM samples in milliseconds, rounded.
pub(super) fn milliseconds(samples: u64, sample_rate: u32) -> u64 {
    (samples * 1000 + u64::from(sample_rate) / 2) / u64::from(sample_rate)
}
