//! One planned sentence: its symbols, their times, and the cues that follow from them.

use std::ops::Range;

use candle_core::Tensor;

use super::Role;
use super::plan::PlannedSentence;
use crate::cue::{Cue, CueKind, VisemeSet};
use crate::text::{Directed, Passage, Symbol, rise};
use crate::timeline::Timeline;
use crate::voice::Contour;

/// A sentence with its place in the text and in time.
pub(crate) struct Sentence {
    /// Number of the sentence in the text.
    pub(crate) index: usize,
    /// The text as it was written, and its way back to the document.
    pub(crate) passage: Passage,
    /// Words and symbols, and what was asked of them.
    pub(crate) directed: Directed,
    /// Who says it.
    pub(crate) role: Role,
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

    /// Phonemes and pauses.
    pub(crate) fn symbols(&self) -> &[Symbol] {
        &self.directed.utterance.symbols
    }

    /// What changes the pitch and volume that the nets give; `None` where nothing does.
    pub(crate) fn contour(&self) -> Option<Contour> {
        Contour::new(&self.directed.styles, rise(&self.directed.utterance), &self.timeline)
    }

    /// All cues in the stream's time, sorted by start; those that start together from the longest kind to the shortest.
    pub(crate) fn cues(&self) -> Vec<Cue> {
        let symbols = self.symbols();
        let sentence = Cue::over(CueKind::Sentence, &self.timeline, self.said(), self.passage.shown().trim());
        let sourced = |cue: Cue, text: Range<usize>| {
            cue.with_source(self.passage.source(text.clone()), self.passage.source_chars(text))
        };
        let mut cues = vec![sourced(sentence, 0..self.passage.text().len())];
        for word in &self.directed.utterance.words {
            let cue = Cue::over(CueKind::Word, &self.timeline, word.symbols.clone(), &*word.text);
            cues.push(sourced(cue, word.source.clone()));
        }
        for (symbol, name) in &self.directed.marks {
            cues.push(Cue::over(CueKind::Mark, &self.timeline, *symbol..*symbol, &**name));
        }
        for (i, symbol) in symbols.iter().enumerate().filter(|(_, symbol)| !symbol.phoneme.is_pause()) {
            cues.push(Cue::over(CueKind::Phoneme, &self.timeline, i..i + 1, symbol.phoneme.ipa()));
        }
        cues.extend(self.visemes.cues(symbols.iter().map(|symbol| symbol.phoneme), &self.timeline));
        let mut cues: Vec<Cue> = cues.into_iter().map(|cue| cue.shifted(self.start_sample)).collect();
        cues.sort_by_key(|cue| (cue.start_sample, cue.kind as u8));
        cues
    }

    /// What a caller sees of it.
    pub(crate) fn planned(&self) -> PlannedSentence {
        let start = self.start_sample;
        let boundaries = self.timeline.boundaries();
        let symbols = self.symbols().iter().zip(boundaries.windows(2));
        PlannedSentence {
            text: self.passage.shown().trim().to_string(),
            start_sample: start,
            end_sample: self.end_sample(),
            symbols: symbols.map(|(symbol, span)| (symbol.phoneme.ipa(), start + span[0], start + span[1])).collect(),
            cues: self.cues(),
        }
    }

    /// The symbols without the silence before and after.
    fn said(&self) -> Range<usize> {
        let words = &self.directed.utterance.words;
        match (words.first(), words.last()) {
            (Some(first), Some(last)) if first.symbols.start < last.symbols.end => {
                first.symbols.start..last.symbols.end
            }
            _ => 0..self.symbols().len(),
        }
    }
}
