//! Whether lips do what sounds need: close on p, b and m, and keep still in pauses.
//!
//! The opening of a mouth is taken relative to what it does in its clip: 0 is its 2nd percentile, as shut as it gets, and 1
//! its 90th. A closure is the smallest relative opening in the video frames that a p, b or m touches; it counts as closed
//! below 0.35. In GRID's real clips closures are at 0.03 to 0.08, and at 0.3 to 0.6 where the sound is moved by five video
//! frames. The movement in pauses is the mean change of the opening from one video frame to the next, in pauses longer than
//! 0.2 s and at least 0.08 s from their ends, over that of the whole clip.

use super::landmarks::{Mouth, MouthPair, lip_opening};
use super::{Mean, Metric};
use crate::text::{Phoneme, Symbol, Viseme, viseme};

/// Percentiles of the opening that count as shut and as wide.
const SHUT: f64 = 0.02;
const WIDE: f64 = 0.9;
/// Relative opening below which lips count as closed.
const CLOSED: f64 = 0.35;
/// Least length of a pause, and the time next to its ends in which lips may move, in seconds.
const PAUSE_S: f64 = 0.2;
const PAUSE_EDGE_S: f64 = 0.08;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Gap,
    Closed,
    PauseMotion,
}

/// A figure of closures or pauses, of the generated clips or of the real ones beside them.
#[derive(Debug, Clone)]
pub struct Closure {
    what: What,
    real: bool,
    mean: Mean,
}

impl Closure {
    /// The figures that there are, of generated clips and of real ones.
    pub fn all() -> Vec<Self> {
        let both = |what| [false, true].map(|real| Self { what, real, mean: Mean::default() });
        [What::Gap, What::Closed, What::PauseMotion].into_iter().flat_map(both).collect()
    }

    fn add(&mut self, mouth: &Mouth<'_>) {
        let openings: Vec<f64> = mouth.points.iter().map(lip_opening).collect();
        let found = match self.what {
            What::Gap => closures(mouth, &openings),
            What::Closed => {
                closures(mouth, &openings).into_iter().map(|gap| f64::from(u8::from(gap < CLOSED))).collect()
            }
            What::PauseMotion => pause_motion(mouth, &openings).into_iter().collect(),
        };
        found.into_iter().for_each(|value| self.mean.add(value));
    }
}

impl Metric<MouthPair<'_>> for Closure {
    fn name(&self) -> &'static str {
        match (self.what, self.real) {
            (What::Gap, false) => "pbm_gap",
            (What::Gap, true) => "pbm_gap_real",
            (What::Closed, false) => "pbm_closed",
            (What::Closed, true) => "pbm_closed_real",
            (What::PauseMotion, false) => "pause_motion",
            (What::PauseMotion, true) => "pause_motion_real",
        }
    }

    fn unit(&self) -> &'static str {
        ""
    }

    fn higher_is_better(&self) -> bool {
        self.what == What::Closed
    }

    fn update(&mut self, mouths: &MouthPair<'_>) {
        let mouth = if self.real { mouths.real } else { mouths.generated };
        self.add(&mouth);
    }

    fn value(&self) -> Option<f64> {
        self.mean.value()
    }
}

/// Spans in seconds of the symbols whose phoneme is one of those.
fn spans(mouth: &Mouth<'_>, wanted: impl Fn(Phoneme) -> bool) -> Vec<(f64, f64)> {
    let rate = f64::from(mouth.timeline.sample_rate());
    let of = |(symbol, ends): (&Symbol, &[u64])| {
        wanted(symbol.phoneme).then(|| (ends[0] as f64 / rate, ends[1] as f64 / rate))
    };
    mouth.symbols.iter().zip(mouth.timeline.boundaries().windows(2)).filter_map(of).collect()
}

/// The relative opening of every p, b and m that the clip shows.
fn closures(mouth: &Mouth<'_>, openings: &[f64]) -> Vec<f64> {
    let (Some(shut), Some(wide)) = (percentile(openings, SHUT), percentile(openings, WIDE)) else { return Vec::new() };
    let gap = |(start, end): (f64, f64)| {
        let first = (start * mouth.fps) as usize;
        let last = ((end * mouth.fps).ceil() as usize).max(first + 1).min(openings.len());
        let least = openings.get(first..last)?.iter().copied().fold(f64::INFINITY, f64::min);
        Some((least - shut) / f64::max(wide - shut, 1e-6))
    };
    let shown = spans(mouth, |phoneme| viseme::of(phoneme) == Viseme::Pp);
    shown.into_iter().filter_map(gap).filter(|gap| gap.is_finite()).collect()
}

/// How much the opening changes in pauses, over how much it changes on the whole.
fn pause_motion(mouth: &Mouth<'_>, openings: &[f64]) -> Option<f64> {
    let changes: Vec<f64> = openings.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let (mut whole, mut quiet) = (Mean::default(), Mean::default());
    changes.iter().for_each(|change| whole.add(*change));
    for (start, end) in spans(mouth, Phoneme::is_pause).into_iter().filter(|(start, end)| end - start > PAUSE_S) {
        let first = ((start + PAUSE_EDGE_S) * mouth.fps) as usize;
        let last = (((end - PAUSE_EDGE_S) * mouth.fps) as usize).min(changes.len());
        changes.get(first..last).unwrap_or(&[]).iter().for_each(|change| quiet.add(*change));
    }
    Some(quiet.value()? / f64::max(whole.value()?, 1e-9))
}

/// The value below which a part of the values lie, between two of them by a straight line; `None` of no values.
fn percentile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::lips::{MOUTH_POINTS, MouthPoints};
    use crate::text::SentenceKind;
    use crate::timeline::Timeline;

    /// A mouth whose lips are so many pixels apart.
    fn open_by(gap: f32) -> MouthPoints {
        let mut points = [[0.0; 2]; MOUTH_POINTS];
        (17..20).for_each(|lower| points[lower][1] = gap);
        // The pairs cross: 13-19, 14-18, 15-17.
        for (x, (upper, lower)) in [(13, 19), (14, 18), (15, 17)].into_iter().enumerate() {
            (points[upper][0], points[lower][0]) = (x as f32, x as f32);
        }
        points
    }

    fn figures(gaps: &[f32], symbols: &[Symbol], boundaries_s: &[f32]) -> Vec<(&'static str, f64)> {
        let points: Vec<MouthPoints> = gaps.iter().map(|gap| open_by(*gap)).collect();
        let timeline = Timeline::from_seconds(boundaries_s).unwrap();
        let mouth = Mouth { points: &points, symbols, timeline: &timeline, fps: 25.0 };
        let mut all = Closure::all();
        all.iter_mut().for_each(|figure| figure.update(&MouthPair { generated: mouth, real: mouth }));
        all.iter().filter_map(|figure| Some((figure.name(), figure.value()?))).collect()
    }

    #[test]
    fn closures_are_read_where_the_lips_should_be_closed() {
        let symbol = |phoneme| Symbol::pause(phoneme, SentenceKind::Statement);
        let symbols = [Phoneme::Aa, Phoneme::M, Phoneme::Aa, Phoneme::B].map(symbol);
        // Eleven video frames of 40 ms; "m" touches the fourth and fifth, "b" the last. The 2nd percentile of the sorted
        // openings 0 2 6 ... 10 is 0.4 and the 90th, the tenth of eleven, is 10.
        let gaps = [10., 10., 10., 2., 0., 6., 10., 10., 10., 10., 10.];
        let found = figures(&gaps, &symbols, &[0.0, 0.13, 0.17, 0.4, 0.44]);
        let gap = (0.0 - 0.4) / 9.6;
        assert_eq!(
            found.iter().map(|figure| figure.0).collect::<Vec<_>>(),
            ["pbm_gap", "pbm_gap_real", "pbm_closed", "pbm_closed_real"]
        );
        assert!((found[0].1 - (gap + 1.0) / 2.0).abs() < 1e-6, "{found:?}");
        assert_eq!((found[0].1, found[2].1), (found[1].1, 0.5));
    }

    #[test]
    fn movement_in_pauses_is_relative_to_the_whole() {
        let symbol = |phoneme| Symbol::pause(phoneme, SentenceKind::Statement);
        let symbols = [Phoneme::Silence, Phoneme::Aa].map(symbol);
        // A pause of ten video frames, of which the steps from the third to the eighth count: five of 0.5. Fifteen steps
        // in all: eight of 0.5, seven of 4.
        let mut gaps = vec![0.0];
        (0..15).for_each(|i| gaps.push(gaps[i] + if i < 8 { 0.5 } else { 4.0 }));
        let found = figures(&gaps, &symbols, &[0.0, 0.4, 0.64]);
        let expected = 0.5 / ((8.0 * 0.5 + 7.0 * 4.0) / 15.0);
        let motion = found.iter().find(|figure| figure.0 == "pause_motion").unwrap().1;
        assert!((motion - expected).abs() < 1e-6, "{motion} {expected}");
    }
}
