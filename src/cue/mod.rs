//! Cues: what is said when, as words, phonemes, visemes and sentences, in the PCM samples of the one clock, and the files and
//! curves that are made of them.
//!
//! A cue's ends are boundaries of a [`Timeline`], never computed anew, so cues cannot leave the sound or the lips. (Where a
//! [set of visemes](VisemeSet) shows two shapes for one phoneme, the second starts half-way.)

mod blend_shapes;
mod captions;
mod json;
mod marks;
mod subtitles;
mod visemes;
mod writer;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::timeline::Timeline;

pub use blend_shapes::{BLEND_SHAPES, BlendShapes, Curves};
pub(crate) use captions::{Caption, Captioner};
pub(crate) use json::read as read_json;
pub use visemes::VisemeSet;
pub use writer::{CueFormat, CueWriter};

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
    /// A viseme by its name in the set that was asked for.
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
    /// Bytes of the source text (UTF-8) that this says, where there are such.
    pub source: Option<Range<usize>>,
    /// The same place in characters: Unicode scalar values, as Rust's `chars` and Python's `str` count.
    pub chars: Option<Range<usize>>,
}

impl Cue {
    /// The cue of some symbols of a timeline, in the timeline's own time.
    pub fn over(kind: CueKind, timeline: &Timeline, symbols: Range<usize>, text: impl Into<String>) -> Self {
        let span = timeline.span(symbols);
        Self { kind, start_sample: span.start, end_sample: span.end, text: text.into(), source: None, chars: None }
    }

    /// Adds the bytes and the characters of the source text that the cue says.
    pub fn with_source(self, source: Range<usize>, chars: Range<usize>) -> Self {
        Self { source: Some(source), chars: Some(chars), ..self }
    }

    /// The cue of a sentence that starts at PCM sample `start_sample` of the file.
    pub fn shifted(mut self, start_sample: u64) -> Self {
        self.start_sample += start_sample;
        self.end_sample += start_sample;
        self
    }
}
