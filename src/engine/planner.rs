//! Text to planned sentences, one at a time: symbols, states, durations, boundaries.
//!
//! Only the sentence at hand is held, so a text of any length passes in constant memory.

use std::collections::VecDeque;

use super::Cast;
use super::options::SpeakOptions;
use super::prosody::{Gaps, direct, part_break};
use super::sentence::Sentence;
use super::text_source::{Sentences, TextSource};
use crate::error::{Error, Result};
use crate::text::{FrontEnd, Passage, TextError};
use crate::timeline::{HOP_LENGTH, SAMPLE_RATE, Timeline};

/// How far `length_s` may bend the natural length, either way, and still be speech.
const LARGEST_STRETCH: f64 = 4.0;

/// Plans sentence after sentence.
pub(crate) struct Planner<'a> {
    front_end: &'a FrontEnd,
    cast: &'a Cast,
    options: &'a SpeakOptions,
    source: Sentences<'a>,
    /// Pieces of the current sentence, or of a whole document.
    queue: VecDeque<Passage>,
    /// The silence that the next sentence opens with, where a break was asked for before it.
    opening_s: Option<f64>,
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
        cast: &'a Cast,
        options: &'a SpeakOptions,
        source: &'a mut TextSource<'_>,
    ) -> Result<Self> {
        options.check()?;
        let mut fit = None;
        if let Some(asked) = options.length_samples() {
            source.keep()?;
            let mut first_pass = Planner::over(front_end, cast, options, source)?;
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
        Ok(Planner { fit, ..Planner::over(front_end, cast, options, source)? })
    }

    fn over(
        front_end: &'a FrontEnd,
        cast: &'a Cast,
        options: &'a SpeakOptions,
        source: &'a mut TextSource<'_>,
    ) -> Result<Self> {
        let queue: VecDeque<Passage> = source.passages().to_vec().into();
        let opening_s = queue.front().and_then(|first| first.break_before_s);
        Ok(Self {
            front_end,
            cast,
            options,
            source: source.sentences()?,
            queue,
            opening_s,
            sentences: 0,
            natural_end: 0,
            next_start: 0,
            fit: None,
            done: false,
        })
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
            while let Some(passage) = self.queue.pop_front() {
                if let Some(sentence) = self.plan(passage)? {
                    return Ok(Some(sentence));
                }
            }
            let Some(mut sentence) = self.source.next(self.front_end)? else { return Ok(None) };
            // No silence before the first words.
            sentence.starts_paragraph &= self.sentences > 0;
            self.queue.extend(self.front_end.passages(&sentence));
        }
    }

    /// `None` for a passage that has no word in it.
    fn plan(&mut self, passage: Passage) -> Result<Option<Sentence>> {
        let directed = match self.front_end.analyse_passage(&passage) {
            Ok(directed) => directed,
            Err(TextError::Empty | TextError::NothingToSay) => return Ok(None),
            Err(error) => {
                let offset = passage.source(0..0).start;
                return Err(Error::Text(format!("at byte {offset} of the text: {error}")));
            }
        };
        let role = self.cast.role(passage.voice.as_deref())?;
        let (states, mut durations) = role.voice.nets.states_and_durations(&directed.utterance.symbols)?;
        let (closing_s, next_opening_s) = match passage.break_after_s {
            // Nobody speaks after the last sentence, so all of the break is its own.
            Some(seconds) if self.queue.is_empty() => (Some(seconds), None),
            Some(seconds) => {
                let (closing, opening) = part_break(seconds);
                (Some(closing), Some(opening))
            }
            None => (None, None),
        };
        let gaps = Gaps {
            opening_s: std::mem::replace(&mut self.opening_s, next_opening_s),
            closing_s,
            added_s: self.options.pause_s,
            starts_paragraph: passage.starts_paragraph,
        };
        direct(&mut durations, &directed, gaps, self.options.speed);
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
        Ok(Some(Sentence { index, passage, directed, role, timeline, start_sample, visemes, states }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fitted_positions_meet_the_ends() {
        let fit = (72_000, 65_537);
        assert_eq!((fitted(0, fit), fitted(65_537, fit)), (0, 72_000));
        assert!((1..65_537).all(|position| fitted(position, fit) >= fitted(position - 1, fit)));
    }
}
