//! Cues: what is said when, as words, phonemes, visemes and sentences, in the PCM samples of the one clock.
//!
//! A cue's ends are boundaries of a [`Timeline`], never computed anew, so cues cannot leave the sound or the lips.

mod captions;
pub mod json;
pub mod srt;
pub mod vtt;

use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::timeline::Timeline;

/// What a cue marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CueKind {
    /// A sentence; its text is the source's.
    Sentence,
    /// A word; its text is as spoken.
    Word,
    /// A phoneme in IPA.
    Phoneme,
    /// A viseme by name.
    Viseme,
    /// A mark of the caller's, by name: SSML's `<mark name="..."/>`. It is a moment: it ends where it starts.
    Mark,
}

/// Something said, from `start_sample` to `end_sample`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// What the cue marks.
    pub kind: CueKind,
    /// First PCM sample.
    pub start_sample: u64,
    /// PCM sample after the last.
    pub end_sample: u64,
    /// The word, sentence, phoneme or viseme.
    pub text: String,
    /// Bytes of the source text that this says, where there are such.
    pub source: Option<Range<usize>>,
}

impl Cue {
    /// The cue of some symbols of a timeline, in the timeline's own time.
    pub fn over(kind: CueKind, timeline: &Timeline, symbols: Range<usize>, text: impl Into<String>) -> Self {
        let span = timeline.span(symbols);
        Self { kind, start_sample: span.start, end_sample: span.end, text: text.into(), source: None }
    }

    /// Adds the bytes of the source text that the cue says.
    pub fn with_source(self, source: Range<usize>) -> Self {
        Self { source: Some(source), ..self }
    }

    /// The cue of a sentence that starts at PCM sample `start_sample` of the file and at byte `source_start` of the text.
    pub fn shifted(mut self, start_sample: u64, source_start: usize) -> Self {
        self.start_sample += start_sample;
        self.end_sample += start_sample;
        self.source = self.source.map(|source| source.start + source_start..source.end + source_start);
        self
    }
}

/// A file format of cues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CueFormat {
    /// All cues with their times: [`json`].
    Json,
    /// Captions for the web: [`vtt`].
    Vtt,
    /// Captions for players: [`srt`].
    Srt,
}

impl CueFormat {
    /// The format that the ending of a file's name stands for, in any case of letters.
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "vtt" => Some(Self::Vtt),
            "srt" => Some(Self::Srt),
            _ => None,
        }
    }
}

/// All cues of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CueList {
    /// PCM samples a second.
    pub sample_rate: u32,
    /// Length of the stream in PCM samples.
    pub total_samples: u64,
    /// The cues; those of one kind in order of time.
    pub cues: Vec<Cue>,
}

impl CueList {
    /// No cues yet.
    pub fn new(sample_rate: u32) -> Self {
        Self { sample_rate, total_samples: 0, cues: Vec::new() }
    }

    /// The cues of one kind.
    pub fn of_kind(&self, kind: CueKind) -> impl Iterator<Item = &Cue> {
        self.cues.iter().filter(move |cue| cue.kind == kind)
    }

    /// Writes all cues, or the captions made of them.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write(&self, format: CueFormat, writer: &mut impl Write) -> io::Result<()> {
        match format {
            CueFormat::Json => json::write(self, writer),
            CueFormat::Vtt => vtt::write(self, writer),
            CueFormat::Srt => srt::write(self, writer),
        }
    }
}
