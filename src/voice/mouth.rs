//! The times that a mouth needs: the voice's timeline with closures long enough to be seen.
//!
//! A voice may say "b" in 30 ms, less than one video frame; a mouth takes longer to close and open (in GRID the median of
//! p, b and m is 70 to 90 ms) and does so while the neighbours sound. So for the lips alone, such symbols borrow time from
//! both neighbours. The sound and the cues keep their boundaries.

use std::ops::Range;

use crate::error::Result;
use crate::text::{Symbol, Viseme, viseme};
use crate::timeline::{SAMPLE_RATE, Timeline};

/// The least time that lips are closed, or on the teeth, in seconds.
const CLOSED_S: f64 = 0.085;
const ON_TEETH_S: f64 = 0.07;
/// At most this share of a neighbour is borrowed.
const LARGEST_SHARE: f64 = 0.4;

/// The timeline of the mouth: as long as the voice's, with the same symbols.
pub(crate) fn mouth_timeline(symbols: &[Symbol], timeline: &Timeline) -> Result<Timeline> {
    let mut boundaries = timeline.boundaries().to_vec();
    let length = |symbol: usize| length_of(timeline.span(symbol..symbol + 1));
    for (i, symbol) in symbols.iter().enumerate() {
        let Some(least) = least_samples(symbol) else { continue };
        let missing = least.saturating_sub(length(i));
        // A neighbour that needs its own time lends none; every neighbour is asked from one side by one symbol.
        let lends = |neighbour: usize| match symbols.get(neighbour) {
            Some(symbol) if least_samples(symbol).is_none() => (length(neighbour) as f64 * LARGEST_SHARE) as u64,
            _ => 0,
        };
        let before = if i == 0 { 0 } else { lends(i - 1) };
        let after = lends(i + 1);
        // Half from each side, more from one where the other has too little.
        let from_before = (missing / 2).max(missing.saturating_sub(after)).min(before);
        let from_after = (missing - from_before).min(after);
        boundaries[i] -= from_before;
        boundaries[i + 1] += from_after;
    }
    Ok(Timeline::from_boundaries(boundaries)?)
}

fn length_of(span: Range<u64>) -> u64 {
    span.end - span.start
}

/// The least PCM samples of symbols that the lips must be seen to form.
fn least_samples(symbol: &Symbol) -> Option<u64> {
    let seconds = match viseme::of(symbol.phoneme) {
        Viseme::Pp => CLOSED_S,
        Viseme::Ff => ON_TEETH_S,
        _ => return None,
    };
    Some((seconds * f64::from(SAMPLE_RATE)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Phoneme, SentenceKind};

    fn symbols(phonemes: &[Phoneme]) -> Vec<Symbol> {
        phonemes.iter().map(|&phoneme| Symbol::pause(phoneme, SentenceKind::Statement)).collect()
    }

    #[test]
    fn short_closures_borrow_from_both_sides() {
        let symbols = symbols(&[Phoneme::Aa, Phoneme::B, Phoneme::Aa, Phoneme::Silence]);
        let timeline = Timeline::from_boundaries(vec![0, 4800, 5400, 10_200, 12_000]).unwrap();
        // 0.085 s are 2040 PCM samples: 1440 are missing.
        let mouth = mouth_timeline(&symbols, &timeline).unwrap();
        assert_eq!(mouth.boundaries(), [0, 4080, 6120, 10_200, 12_000]);
    }

    #[test]
    fn long_closures_other_symbols_and_the_ends_stay() {
        let symbols = symbols(&[Phoneme::M, Phoneme::Aa, Phoneme::T, Phoneme::M, Phoneme::B]);
        let timeline = Timeline::from_boundaries(vec![0, 600, 1000, 1400, 9000, 9300]).unwrap();
        let mouth = mouth_timeline(&symbols, &timeline).unwrap();
        // "m" takes no more than its share of a short vowel, "t" none, the last "b" none of the "m" before it.
        assert_eq!(mouth.boundaries(), [0, 760, 1000, 1400, 9000, 9300]);
    }

    #[test]
    fn boundaries_stay_in_order_whatever_the_durations() {
        for seed in 0..200u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut next = |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let phonemes: Vec<Phoneme> =
                (0..12).map(|_| [Phoneme::B, Phoneme::F, Phoneme::Aa, Phoneme::T][next(4) as usize]).collect();
            let mut boundaries = vec![0];
            for i in 0..12 {
                boundaries.push(boundaries[i] + next(3000) + u64::from(i == 0));
            }
            let timeline = Timeline::from_boundaries(boundaries).unwrap();
            let mouth = mouth_timeline(&symbols(&phonemes), &timeline).unwrap();
            assert_eq!(mouth.total_samples(), timeline.total_samples());
        }
    }
}
