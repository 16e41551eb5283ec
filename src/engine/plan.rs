//! The plan of a text: what is said when, without a sound of it made.

use crate::cue::Cue;
use crate::timeline::SAMPLE_RATE;

/// What a text will be: cues on the clock that speech and picture will follow.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// PCM samples a second.
    pub sample_rate: u32,
    /// Length of the whole in PCM samples.
    pub total_samples: u64,
    /// Video frames, 0 where no pictures were asked for.
    pub video_frames: u64,
    /// The sentences in order.
    pub sentences: Vec<PlannedSentence>,
}

/// One sentence of a [`Plan`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlannedSentence {
    /// The text as it was written.
    pub text: String,
    /// First PCM sample.
    pub start_sample: u64,
    /// PCM sample after the last.
    pub end_sample: u64,
    /// Symbols with their boundaries: (phoneme in IPA, empty for silence; first PCM sample; PCM sample after the last).
    pub symbols: Vec<(&'static str, u64, u64)>,
    /// Sentence, words, phonemes and visemes, sorted by start.
    pub cues: Vec<Cue>,
}

impl Plan {
    /// Length of the whole in seconds.
    pub fn total_s(&self) -> f64 {
        self.total_samples as f64 / f64::from(SAMPLE_RATE)
    }

    /// All cues in order.
    pub fn cues(&self) -> impl Iterator<Item = &Cue> {
        self.sentences.iter().flat_map(|sentence| &sentence.cues)
    }
}

/// What [`Engine::speak`](super::Engine::speak) made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Spoken {
    /// Sentences spoken.
    pub sentences: u64,
    /// PCM samples, silence at the end included.
    pub pcm_samples: u64,
    /// Video frames.
    pub video_frames: u64,
}

impl Spoken {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.pcm_samples as f64 / f64::from(SAMPLE_RATE)
    }
}
