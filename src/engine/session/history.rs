//! What a session has said and when, and from it what a listener has heard.

use std::collections::VecDeque;
use std::ops::Range;

use super::super::text_queue::TextQueue;
use crate::cue::{Cue, CueKind};
use crate::timeline::{Fps, SAMPLE_RATE};

/// Words that are remembered: about nine hours of speech.
const MOST_WORDS: usize = 100_000;

/// What a listener had heard when a session was interrupted: told to a language model, it knows what it has said.
///
/// A word counts as heard once half of it was played. What was skipped was neither heard nor is it left to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The text that was heard, as it was pushed (SSML with its tags), up to the last word that counts.
    pub heard_text: String,
    /// Its bytes in the pushed text: one range, or several where something between was skipped.
    pub heard: Vec<Range<usize>>,
    /// The last word that counts as heard, with its times and its place in the pushed text.
    pub last_word: Option<Cue>,
    /// PCM samples of the session that were played.
    pub pcm_samples: u64,
    /// The video frame of the session that was shown last; `None` before the first and in a session without pictures.
    pub video_frame: Option<u64>,
    /// The pushed text that was not said: all that follows the last word.
    pub unsaid_text: String,
    /// Its bytes in the pushed text.
    pub unsaid: Range<usize>,
}

/// Notes the cues that pass to the sink.
#[derive(Debug, Default)]
pub(super) struct History {
    words: VecDeque<Said>,
    sentences: VecDeque<Range<u64>>,
    /// PCM samples that were skipped.
    skipped: Vec<Range<u64>>,
}

/// A word: its place in the text and its PCM samples.
#[derive(Debug)]
struct Said {
    source: Range<usize>,
    chars: Option<Range<usize>>,
    samples: Range<u64>,
}

impl History {
    pub(super) fn note(&mut self, cue: &Cue) {
        let samples = cue.start_sample..cue.end_sample;
        match (cue.kind, &cue.source) {
            (CueKind::Word, Some(source)) => {
                self.words.push_back(Said { source: source.clone(), chars: cue.chars.clone(), samples });
            }
            (CueKind::Sentence, _) => self.sentences.push_back(samples),
            _ => {}
        }
        if self.words.len() > MOST_WORDS {
            self.words.pop_front();
        }
        if self.sentences.len() > MOST_WORDS {
            self.sentences.pop_front();
        }
    }

    /// Where to go on to leave out the rest of the sentence that is said at `sample`: shortly before the next one, or at
    /// its end where no other is known yet; `None` after the last known sentence.
    pub(super) fn after_sentence(&self, sample: u64) -> Option<u64> {
        // Time for the mouth to open.
        const LEAD: u64 = SAMPLE_RATE as u64 / 10;
        let current = self.sentences.iter().position(|sentence| sentence.end > sample)?;
        let end = self.sentences[current].end;
        let next = self.sentences.get(current + 1).map_or(end, |next| next.start.saturating_sub(LEAD));
        Some(end.max(next))
    }

    pub(super) fn skip(&mut self, samples: Range<u64>) {
        self.skipped.push(samples);
    }

    /// What was heard up to a PCM sample.
    pub(super) fn receipt(&self, pcm_samples: u64, fps: Option<Fps>, text: &TextQueue) -> Receipt {
        let middle = |said: &Said| said.samples.start.midpoint(said.samples.end);
        let was_heard = |said: &&Said| {
            let middle = middle(said);
            middle < pcm_samples && !self.skipped.iter().any(|skipped| skipped.contains(&middle))
        };
        let mut heard: Vec<Range<usize>> = Vec::new();
        let mut last: Option<(usize, &Said)> = None;
        for (index, said) in self.words.iter().enumerate().filter(|(_, said)| was_heard(said)) {
            match (heard.last_mut(), last) {
                // What stands between two words that follow each other goes with them.
                (Some(range), Some((before, _))) if before + 1 == index => range.end = said.source.end,
                _ => heard.push(said.source.clone()),
            }
            last = Some((index, said));
        }
        for range in &mut heard {
            range.end = with_marks(text, range.end);
        }
        let texts: Vec<String> = heard.iter().map(|range| text.text(range.clone())).collect();
        let last_word = last.map(|(_, said)| Cue {
            kind: CueKind::Word,
            start_sample: said.samples.start,
            end_sample: said.samples.end,
            text: text.text(said.source.clone()),
            source: Some(said.source.clone()),
            chars: said.chars.clone(),
        });
        // What was skipped lies before this, too.
        let passed = self.words.iter().rev().find(|said| middle(said) < pcm_samples);
        let start = passed.map_or(0, |said| with_marks(text, said.source.end));
        let unsaid = start..text.end().max(start);
        Receipt {
            heard_text: texts.join(" "),
            heard,
            last_word,
            pcm_samples,
            video_frame: fps.and_then(|fps| shown_at(fps, pcm_samples)),
            unsaid_text: text.text(unsaid.clone()),
            unsaid,
        }
    }
}

/// The end of a word with the punctuation that clings to it.
fn with_marks(text: &TextQueue, end: usize) -> usize {
    const LONGEST_BYTES: usize = 16;
    let marks = text.text(end..end + LONGEST_BYTES);
    let marks = marks.find(|c: char| c.is_whitespace() || c.is_alphanumeric() || c == '<').unwrap_or(marks.len());
    (end + marks).min(text.end())
}

/// The video frame whose time contains the last of some PCM samples.
fn shown_at(fps: Fps, pcm_samples: u64) -> Option<u64> {
    let last = u128::from(pcm_samples.checked_sub(1)?);
    let period = u128::from(fps.den()) * u128::from(SAMPLE_RATE);
    u64::try_from(last * u128::from(fps.num()) / period).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "One two. Three four! Five.";

    /// Words of 100 PCM samples, sentence after sentence with 100 PCM samples between.
    fn history() -> (History, TextQueue) {
        let (mut history, text) = (History::default(), TextQueue::default());
        text.push(TEXT.as_bytes()).unwrap();
        let cue = |kind, samples: Range<u64>, said: &str| {
            let at = TEXT.find(said).unwrap();
            let (start_sample, end_sample) = (samples.start, samples.end);
            Cue { kind, start_sample, end_sample, text: said.into(), source: Some(at..at + said.len()), chars: None }
        };
        for (samples, sentence) in [(100..300, "One two."), (400..600, "Three four!"), (700..800, "Five.")] {
            history.note(&cue(CueKind::Sentence, samples.clone(), sentence));
            for (i, word) in sentence.trim_end_matches(['.', '!']).split(' ').enumerate() {
                let start = samples.start + 100 * i as u64;
                history.note(&cue(CueKind::Word, start..start + 100, word));
            }
        }
        (history, text)
    }

    #[test]
    fn a_word_is_heard_from_its_middle_on() {
        let (history, text) = history();
        let fps = Some(Fps::FPS_25);
        for (samples, heard, unsaid) in [
            (0, "", TEXT),
            (150, "", TEXT),
            (151, "One", " two. Three four! Five."),
            (251, "One two.", " Three four! Five."),
            (451, "One two. Three", " four! Five."),
            (9999, TEXT, ""),
        ] {
            let receipt = history.receipt(samples, fps, &text);
            assert_eq!((&*receipt.heard_text, &*receipt.unsaid_text), (heard, unsaid), "{samples}");
            let last = heard.split(' ').next_back().map(|word| word.trim_end_matches('.')).filter(|w| !w.is_empty());
            assert_eq!(receipt.last_word.as_ref().map(|word| &*word.text), last);
            assert_eq!(&TEXT[receipt.unsaid], unsaid);
            assert!(receipt.heard.iter().all(|range| receipt.heard_text.contains(&TEXT[range.clone()])));
        }
        let frame = |samples| history.receipt(samples, fps, &text).video_frame;
        assert_eq!([frame(0), frame(1), frame(960), frame(961)], [None, Some(0), Some(0), Some(1)]);
        assert_eq!(history.receipt(961, None, &text).video_frame, None);
    }

    #[test]
    fn what_was_skipped_was_not_heard_and_is_not_unsaid() {
        let (mut history, text) = history();
        assert_eq!(history.after_sentence(160), Some(300));
        history.skip(160..300);
        let receipt = history.receipt(451, None, &text);
        assert_eq!((&*receipt.heard_text, &*receipt.unsaid_text), ("One Three", " four! Five."));
        assert_eq!(receipt.heard, [0..3, 9..14]);
        // Interrupted before another word was heard.
        let receipt = history.receipt(310, None, &text);
        assert_eq!((&*receipt.heard_text, &*receipt.unsaid_text), ("One", " Three four! Five."));
    }

    #[test]
    fn a_skip_goes_shortly_before_the_next_sentence() {
        let mut history = History::default();
        history.sentences.extend([1000..9000, 20_000..30_000]);
        assert_eq!(history.after_sentence(0), Some(17_600));
        assert_eq!(history.after_sentence(8999), Some(17_600));
        assert_eq!(history.after_sentence(9000), Some(30_000));
        assert_eq!(history.after_sentence(30_000), None);
    }
}
