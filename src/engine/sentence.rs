//! One planned sentence: its symbols, their times, and the cues that follow from them.

use std::ops::Range;

use candle_core::Tensor;

use super::plan::PlannedSentence;
use crate::cue::{Cue, CueKind, VisemeSet};
use crate::text::Utterance;
use crate::timeline::Timeline;

/// A sentence with its place in the text and in time.
#[derive(Debug, Clone)]
pub(crate) struct Sentence {
    /// Number of the sentence in the text.
    pub(crate) index: usize,
    /// Byte offset of the sentence in the text.
    pub(crate) offset: usize,
    /// The text as it was written.
    pub(crate) text: String,
    /// Words and symbols.
    pub(crate) utterance: Utterance,
    /// Boundaries of the symbols, from 0.
    pub(crate) timeline: Timeline,
    /// First PCM sample in the stream.
    pub(crate) start_sample: u64,
    /// The set that viseme cues are of.
    pub(crate) visemes: VisemeSet,
    /// The text encoder's states (1, S, D).
    pub(crate) states: Tensor,
}

impl Sentence {
    /// PCM sample after the last in the stream.
    pub(crate) fn end_sample(&self) -> u64 {
        self.start_sample + self.timeline.total_samples()
    }

    /// All cues in the stream's time, sorted by start; those that start together from the longest kind to the shortest.
    pub(crate) fn cues(&self) -> Vec<Cue> {
        let symbols = &self.utterance.symbols;
        let text = self.text.trim();
        let source = self.text.len() - self.text.trim_start().len();
        let sentence = Cue::over(CueKind::Sentence, &self.timeline, self.said(), text);
        let mut cues = vec![sentence.with_source(source..source + text.len())];
        for word in &self.utterance.words {
            let cue = Cue::over(CueKind::Word, &self.timeline, word.symbols.clone(), &*word.text);
            cues.push(cue.with_source(word.source.clone()));
        }
        for (i, symbol) in symbols.iter().enumerate().filter(|(_, symbol)| !symbol.phoneme.is_pause()) {
            cues.push(Cue::over(CueKind::Phoneme, &self.timeline, i..i + 1, symbol.phoneme.ipa()));
        }
        cues.extend(self.visemes.cues(symbols.iter().map(|symbol| symbol.phoneme), &self.timeline));
        let mut cues: Vec<Cue> = cues.into_iter().map(|cue| cue.shifted(self.start_sample, self.offset)).collect();
        cues.sort_by_key(|cue| (cue.start_sample, cue.kind as u8));
        cues
    }

    /// What a caller sees of it.
    pub(crate) fn planned(&self) -> PlannedSentence {
        let start = self.start_sample;
        let boundaries = self.timeline.boundaries();
        let symbols = self.utterance.symbols.iter().zip(boundaries.windows(2));
        PlannedSentence {
            text: self.text.trim().to_string(),
            start_sample: start,
            end_sample: self.end_sample(),
            symbols: symbols.map(|(symbol, span)| (symbol.phoneme.ipa(), start + span[0], start + span[1])).collect(),
            cues: self.cues(),
        }
    }

    /// The symbols without the silence before and after.
    fn said(&self) -> Range<usize> {
        let words = &self.utterance.words;
        match (words.first(), words.last()) {
            (Some(first), Some(last)) if first.symbols.start < last.symbols.end => {
                first.symbols.start..last.symbols.end
            }
            _ => 0..self.utterance.symbols.len(),
        }
    }
}
