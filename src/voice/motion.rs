//! The motion of a mouth during one sentence, computed as far as it is asked for.
//!
//! The motion decoder runs over blocks of its grid at fixed places, with as many positions around them as it depends on, so
//! the first picture does not wait for the end of a long sentence. A decoder that sees the whole sentence (attention, as
//! published) has one block.

use std::ops::Range;

use candle_core::Tensor;
use paravox_models::identity_encoder::Identity;
use paravox_models::mode::Mode;
use paravox_models::motion_decoder::MotionDecoder;

use super::nets::regulated;
use crate::error::Result;
use crate::text::Symbol;
use crate::timeline::{Place, SAMPLE_RATE, Timeline};

/// Positions of the first block; each further one is twice as long, up to [`LONGEST_BLOCK`].
const FIRST_BLOCK: usize = 8;
const LONGEST_BLOCK: usize = 128;
/// Long enough for a mouth to close or to open.
const EASE_S: f64 = 0.12;

/// Motion on its own grid: vector `j` belongs to `j / hz` seconds of the sentence.
pub(crate) struct Motion<'a> {
    pub(super) decoder: &'a MotionDecoder,
    pub(super) identity: &'a Identity,
    /// (1, S, D)
    pub(super) states: Tensor,
    /// Where in the sentence each vector of the grid lies, and its viseme.
    pub(super) places: Vec<Place>,
    pub(super) visemes: Vec<u32>,
    pub(super) hz: f64,
    pub(super) rest: Option<Rest<'a>>,
    /// The vectors so far.
    pub(super) values: Vec<Vec<f32>>,
}

/// Rests in the pauses: goes over to rest after the last sound before a pause and leaves it in time for the next. At the
/// ends of a sentence there is nothing to wait for, so that sentences meet without a jump.
pub(super) struct Rest<'a> {
    motion: &'a [f32],
    pauses: Vec<RestingTime>,
}

/// A pause in seconds, and whether the sentence begins or ends with it.
struct RestingTime {
    start_s: f64,
    end_s: f64,
    ease_s: f64,
    opens: bool,
    closes: bool,
}

impl Motion<'_> {
    /// The motion at a moment of the sentence, between the two nearest vectors.
    pub(crate) fn at(&mut self, seconds: f64) -> Result<Vec<f32>> {
        let last = self.places.len() - 1;
        let position = (seconds * self.hz).clamp(0.0, last as f64);
        let before = position as usize;
        let after = (before + 1).min(last);
        // A sentence begins at rest: its first picture does not wait for the net.
        if let Some(rest) = &self.rest
            && [before, after].iter().all(|&j| rest.weight(j as f64 / self.hz) == 1.0)
        {
            return Ok(rest.motion.to_vec());
        }
        while self.values.len() <= after {
            self.next_block()?;
        }
        Ok(mix(&self.values[before], &self.values[after], (position - before as f64) as f32))
    }

    fn next_block(&mut self) -> Result<()> {
        let (start, count) = (self.values.len(), self.places.len());
        let length = match self.decoder.context() {
            usize::MAX => count,
            _ => (start + FIRST_BLOCK).min(LONGEST_BLOCK),
        };
        let end = (start + length).min(count);
        let context = self.decoder.context();
        let read = start.saturating_sub(context)..end.saturating_add(context).min(count);
        let visemes = Tensor::from_slice(&self.visemes[read.clone()], (1, read.len()), self.states.device())?;
        let (states, places) = regulated(&self.states, &self.places[read.clone()])?;
        let vector = &self.identity.vector;
        let motion = self.decoder.forward(&states, Some(&visemes), &places, vector, &Mode::Eval)?;
        let motion = motion.narrow(1, start - read.start, end - start)?.squeeze(0)?.to_vec2()?;
        for (j, mut vector) in (start..).zip(motion) {
            if let Some(rest) = &self.rest {
                vector = mix(&vector, rest.motion, rest.weight(j as f64 / self.hz));
            }
            self.values.push(vector);
        }
        Ok(())
    }
}

impl<'a> Rest<'a> {
    pub(super) fn new(motion: &'a [f32], symbols: &[Symbol], timeline: &Timeline) -> Self {
        let pauses = pauses(symbols).map(|run| {
            let span = timeline.span(run.clone());
            let [start_s, end_s] = [span.start, span.end].map(|sample| sample as f64 / f64::from(SAMPLE_RATE));
            // A pause at an end of the sentence has one side alone, and rests at the other however short it is.
            let (opens, closes) = (run.start == 0, run.end == symbols.len());
            let ease_s = if opens || closes { EASE_S.min(end_s - start_s) } else { EASE_S };
            RestingTime { start_s, end_s, ease_s, opens, closes }
        });
        Self { motion, pauses: pauses.collect() }
    }

    /// 1 at rest, 0 where there is sound.
    fn weight(&self, seconds: f64) -> f32 {
        let weights = self.pauses.iter().map(|pause| {
            let seconds = if pause.closes { seconds.min(pause.end_s) } else { seconds };
            if !(pause.start_s..=pause.end_s).contains(&seconds) {
                return 0.0;
            }
            let since_sound_s = if pause.opens { f64::INFINITY } else { seconds - pause.start_s };
            let to_sound_s = if pause.closes { f64::INFINITY } else { pause.end_s - seconds };
            smooth(since_sound_s.min(to_sound_s) / pause.ease_s)
        });
        weights.fold(0.0, f32::max)
    }
}

/// Runs of pauses among the symbols of a sentence.
fn pauses(symbols: &[Symbol]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    let runs = symbols.chunk_by(|a, b| a.phoneme.is_pause() == b.phoneme.is_pause()).map(move |run| {
        at += run.len();
        (run[0].phoneme.is_pause(), at - run.len()..at)
    });
    runs.filter_map(|(is_pause, run)| is_pause.then_some(run))
}

/// From 0 to 1 without a corner at either end.
pub(crate) fn smooth(closeness: f64) -> f32 {
    let closeness = closeness.clamp(0.0, 1.0);
    (closeness * closeness * (3.0 - 2.0 * closeness)) as f32
}

/// `from` where the weight is 0, `to` where it is 1.
pub(crate) fn mix(from: &[f32], to: &[f32], weight: f32) -> Vec<f32> {
    from.iter().zip(to).map(|(from, to)| (1.0 - weight) * from + weight * to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Phoneme, SentenceKind};

    #[test]
    fn mixing_and_smoothing_meet_their_ends() {
        assert_eq!(mix(&[0.0, 10.0], &[2.0, 20.0], 0.5), [1.0, 15.0]);
        assert_eq!([smooth(-1.0), smooth(0.0), smooth(0.5), smooth(1.0), smooth(9.0)], [0.0, 0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn the_mouth_rests_in_pauses_and_only_there() {
        let pause = Symbol::pause(Phoneme::Silence, SentenceKind::Statement);
        let sound = Symbol { phoneme: Phoneme::Aa, ..pause };
        let rest = |symbols: &[Symbol], boundaries: Vec<u64>| {
            Rest::new(&[], symbols, &Timeline::from_boundaries(boundaries).unwrap())
        };
        let weights = |rest: &Rest, moments: &[f64]| moments.iter().map(|&s| rest.weight(s)).collect::<Vec<_>>();
        // Silence, sound, a long pause of two symbols, sound, a short silence; 24,000 PCM samples a second.
        let symbols = [pause, sound, pause, pause, sound, pause];
        let long = rest(&symbols, vec![0, 4800, 9600, 12_000, 16_800, 21_600, 22_800]);
        assert_eq!(weights(&long, &[0.0, 0.04, 0.07]), [1.0; 3], "at rest until the first sound is near");
        assert_eq!(weights(&long, &[0.2, 0.3, 0.4, 0.71, 0.8, 0.89]), [0.0; 6], "free while there is sound");
        assert_eq!(weights(&long, &[0.53, 0.55, 0.57]), [1.0; 3], "at rest in the pause");
        assert!((long.weight(0.46) - 0.5).abs() < 1e-6, "half closed half way");
        assert_eq!(weights(&long, &[0.95, 0.96, 9.0]), [1.0; 3], "at rest at the end and beyond");

        let short = rest(&[sound, pause, sound], vec![0, 4800, 6000, 14_400]);
        assert!(short.weight(0.225) < 0.2, "no time to close in 50 ms");
        assert_eq!(rest(&[sound; 3], vec![0, 4800, 9600, 14_400]).weight(0.6), 0.0);
    }
}
