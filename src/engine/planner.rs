//! Text to planned sentences, one at a time: symbols, states, durations, boundaries.
//!
//! Only one paragraph of text and one sentence of states are held, so a text of any length passes in constant memory.

use std::collections::VecDeque;
use std::io::BufRead;

use super::options::SpeakOptions;
use super::paragraphs::{Paragraph, Paragraphs, TextSource};
use super::sentence::Sentence;
use crate::error::{Error, Result};
use crate::text::{FrontEnd, TextError};
use crate::timeline::{HOP_LENGTH, SAMPLE_RATE, Timeline};
use crate::voice::VoiceNets;

/// A sentence longer than this many bytes (about 40 s of speech) is spoken in pieces: what bounds the nets' memory.
const LONGEST_SENTENCE_BYTES: usize = 600;
/// How far `length_s` may bend the natural length, either way, and still be speech.
const LARGEST_STRETCH: f64 = 4.0;

/// Plans sentence after sentence.
pub(crate) struct Planner<'a> {
    front_end: &'a FrontEnd,
    voice: &'a VoiceNets,
    options: &'a SpeakOptions,
    paragraphs: Paragraphs<Box<dyn BufRead + Send + 'a>>,
    /// Sentences of the current paragraph: (byte offset in the text, sentence).
    queue: VecDeque<(usize, String)>,
    sentences: usize,
    /// Natural length of all sentences so far, in PCM samples.
    natural_end: u64,
    /// Where the next sentence starts in the stream.
    next_start: u64,
    /// (asked for, natural) length of the whole in PCM samples.
    fit: Option<(u64, u64)>,
    done: bool,
}

impl<'a> Planner<'a> {
    /// Begins a text. Where a length is asked for, the whole text is first read once to know its natural length.
    pub(crate) fn new(
        front_end: &'a FrontEnd,
        voice: &'a VoiceNets,
        options: &'a SpeakOptions,
        source: &'a mut TextSource<'_>,
    ) -> Result<Self> {
        options.check()?;
        let mut fit = None;
        if let Some(asked) = options.length_samples() {
            source.keep()?;
            let mut first_pass = Planner::over(front_end, voice, options, source.paragraphs()?);
            for sentence in first_pass.by_ref() {
                sentence?;
            }
            let natural = first_pass.natural_end;
            let stretch = asked as f64 / natural as f64;
            if natural > 0 && !(1.0 / LARGEST_STRETCH..=LARGEST_STRETCH).contains(&stretch) {
                let natural_s = natural as f64 / f64::from(SAMPLE_RATE);
                return Err(Error::Request(format!(
                    "the text lasts {natural_s:.2} s by nature: give a length from {:.2} to {:.2} s",
                    natural_s / LARGEST_STRETCH,
                    natural_s * LARGEST_STRETCH
                )));
            }
            fit = Some((asked, natural));
        }
        Ok(Planner { fit, ..Planner::over(front_end, voice, options, source.paragraphs()?) })
    }

    fn over(
        front_end: &'a FrontEnd,
        voice: &'a VoiceNets,
        options: &'a SpeakOptions,
        paragraphs: Paragraphs<Box<dyn BufRead + Send + 'a>>,
    ) -> Self {
        Self {
            front_end,
            voice,
            options,
            paragraphs,
            queue: VecDeque::new(),
            sentences: 0,
            natural_end: 0,
            next_start: 0,
            fit: None,
            done: false,
        }
    }

    /// PCM samples planned so far.
    pub(crate) fn end_sample(&self) -> u64 {
        self.next_start
    }

    /// The error for a text without a word.
    pub(crate) fn nothing_to_say() -> Error {
        Error::Request("there is nothing to say: give a text with at least one word".to_string())
    }

    fn advance(&mut self) -> Result<Option<Sentence>> {
        loop {
            while let Some((offset, text)) = self.queue.pop_front() {
                if let Some(sentence) = self.plan(offset, text)? {
                    return Ok(Some(sentence));
                }
            }
            let Some(paragraph) = self.paragraphs.next().transpose()? else { return Ok(None) };
            self.split(&paragraph);
        }
    }

    fn split(&mut self, paragraph: &Paragraph) {
        for range in self.front_end.sentences(&paragraph.text) {
            let (mut start, end) = (range.start, range.end);
            while start < end {
                let piece = start + piece_len(&paragraph.text[start..end]);
                self.queue.push_back((paragraph.offset + start, paragraph.text[start..piece].to_string()));
                start = piece;
            }
        }
    }

    /// `None` for a piece that has no word in it.
    fn plan(&mut self, offset: usize, text: String) -> Result<Option<Sentence>> {
        let utterance = match self.front_end.analyse(&text) {
            Ok(utterance) => utterance,
            Err(TextError::Empty | TextError::NothingToSay) => return Ok(None),
            Err(error) => return Err(Error::Text(format!("at byte {offset} of the text: {error}"))),
        };
        let (states, mut durations) = self.voice.states_and_durations(&utterance.symbols)?;
        if let Some(last) = durations.last_mut() {
            let mel_frames = self.options.pause_s * f64::from(SAMPLE_RATE) / f64::from(HOP_LENGTH);
            // The pace divides all durations; a pause that was asked for in seconds stays what it is.
            *last += (mel_frames * self.options.speed) as f32;
        }
        let natural = Timeline::from_mel_frames(&durations, HOP_LENGTH, self.options.speed)?;
        let start = self.natural_end;
        self.natural_end += natural.total_samples();
        let timeline = match self.fit {
            Some(fit) => {
                let (from, to) = (fitted(start, fit), fitted(self.natural_end, fit));
                natural.fit_to(to - from)?
            }
            None => natural,
        };
        let index = self.sentences;
        let start_sample = self.next_start;
        self.sentences += 1;
        self.next_start += timeline.total_samples();
        let visemes = self.options.visemes;
        Ok(Some(Sentence { index, offset, text, utterance, timeline, start_sample, visemes, states }))
    }
}

impl Iterator for Planner<'_> {
    type Item = Result<Sentence>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let result = self.advance();
        self.done = !matches!(result, Ok(Some(_)));
        result.transpose()
    }
}

/// Where a natural position lies when `natural` PCM samples become `asked`: rounded once, so the whole fits exactly.
fn fitted(position: u64, (asked, natural): (u64, u64)) -> u64 {
    let (asked, natural) = (u128::from(asked), u128::from(natural));
    ((2 * u128::from(position) * asked + natural) / (2 * natural)) as u64
}

/// How much of a sentence to speak in one go: all of it, or up to its last clause or word below the limit.
fn piece_len(sentence: &str) -> usize {
    if sentence.len() <= LONGEST_SENTENCE_BYTES {
        return sentence.len();
    }
    let mut limit = LONGEST_SENTENCE_BYTES;
    while !sentence.is_char_boundary(limit) {
        limit -= 1;
    }
    let head = &sentence[..limit];
    let clause = head.rfind([',', ';', ':', '\u{2014}']).filter(|&at| at > limit / 3);
    let place = clause.or_else(|| head.rfind(char::is_whitespace));
    match place.and_then(|at| head[at..].chars().next().map(|mark| at + mark.len_utf8())) {
        Some(end) => end,
        None => limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sentences_are_cut_at_clauses_or_words_and_nothing_is_lost() {
        for unit in ["one two three four, ", "one two three ", "ünbröken", "——"] {
            let sentence = unit.repeat(5000 / unit.len());
            let (mut rest, mut pieces) = (&*sentence, 0);
            while !rest.is_empty() {
                let len = piece_len(rest);
                assert!(len > 0 && len <= LONGEST_SENTENCE_BYTES);
                rest = &rest[len..];
                pieces += 1;
            }
            assert!(pieces < 30, "{unit}: {pieces}");
        }
        assert!("one two three four, ".repeat(50)[..piece_len(&"one two three four, ".repeat(50))].ends_with(','));
    }

    #[test]
    fn fitted_positions_meet_the_ends() {
        let fit = (72_000, 65_537);
        assert_eq!((fitted(0, fit), fitted(65_537, fit)), (0, 72_000));
        assert!((1..65_537).all(|position| fitted(position, fit) >= fitted(position - 1, fit)));
    }
}
