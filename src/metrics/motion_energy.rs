//! Motion energy: how much a generated clip moves, against the real one.
//!
//! The energy of a stretch is the mean absolute difference of consecutive video frames. A ratio of 1 moves as much as the
//! real speaker; nets trained on means alone move less (published ParaLip clips: 0.40 in the last third). It is also
//! given for each third of the clip and of its sentence, since errors that grow with time show in the last. After its
//! sentence a clip goes on with movements that no text tells of.

use super::{ClipPair, Metric};

/// Motion of generated clips over motion of real ones.
#[derive(Debug, Clone)]
pub struct MotionEnergy {
    part: Part,
    generated: f64,
    real: f64,
}

/// A part of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// 0, 1 or 2.
    ThirdOfClip(usize),
    ThirdOfSentence(usize),
}

impl MotionEnergy {
    /// Over whole clips, and over each third of the clips and of their sentences.
    pub fn all() -> Vec<Self> {
        let thirds = [Part::ThirdOfClip, Part::ThirdOfSentence].into_iter().flat_map(|of| (0..3).map(of));
        let parts = std::iter::once(Part::Whole).chain(thirds);
        parts.map(|part| Self { part, generated: 0.0, real: 0.0 }).collect()
    }
}

impl Part {
    /// Whether it has a step between two of the video frames, of `steps`; the sentence's go from the first to before `end`.
    fn has(self, step: usize, steps: usize, (first, end): (usize, usize)) -> bool {
        match self {
            Self::Whole => true,
            Self::ThirdOfClip(third) => 3 * step / steps == third,
            Self::ThirdOfSentence(third) => (first..end).contains(&step) && 3 * (step - first) / (end - first) == third,
        }
    }
}

impl Metric<ClipPair<'_>> for MotionEnergy {
    fn name(&self) -> &'static str {
        match self.part {
            Part::Whole => "motion_energy",
            Part::ThirdOfClip(0) => "motion_energy_first_third",
            Part::ThirdOfClip(1) => "motion_energy_second_third",
            Part::ThirdOfClip(_) => "motion_energy_last_third",
            Part::ThirdOfSentence(0) => "sentence_energy_first_third",
            Part::ThirdOfSentence(1) => "sentence_energy_second_third",
            Part::ThirdOfSentence(_) => "sentence_energy_last_third",
        }
    }

    fn unit(&self) -> &'static str {
        ""
    }

    /// Up to 1, which is the real speaker's.
    fn higher_is_better(&self) -> bool {
        true
    }

    fn update(&mut self, clips: &ClipPair<'_>) {
        let video_frames: Vec<_> = clips.video_frames().collect();
        let steps = video_frames.len().saturating_sub(1);
        for (k, pair) in video_frames.windows(2).enumerate() {
            if self.part.has(k, steps, clips.sentence) {
                self.generated += difference(pair[0].0, pair[1].0);
                self.real += difference(pair[0].1, pair[1].1);
            }
        }
    }

    fn value(&self) -> Option<f64> {
        (self.real > 0.0).then(|| self.generated / self.real)
    }
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_split_the_steps_between_video_frames() {
        // Seven video frames of one pixel: six steps, two a third.
        let clip = |values: [u8; 7]| values.iter().flat_map(|&value| [value; 3]).collect::<Vec<u8>>();
        let (generated, real) = (clip([0, 1, 2, 4, 6, 6, 6]), clip([0, 2, 4, 6, 8, 10, 12]));
        // Of which the sentence has the second to the fourth, one a third.
        let pair = ClipPair { size: (1, 1), generated: &generated, real: &real, sentence: (1, 4) };
        let values = MotionEnergy::all().into_iter().map(|mut metric| {
            metric.update(&pair);
            (metric.name(), metric.value().unwrap())
        });
        let expected = [
            ("motion_energy", 0.5),
            ("motion_energy_first_third", 0.5),
            ("motion_energy_second_third", 1.0),
            ("motion_energy_last_third", 0.0),
            ("sentence_energy_first_third", 0.5),
            ("sentence_energy_second_third", 1.0),
            ("sentence_energy_last_third", 1.0),
        ];
        assert_eq!(values.collect::<Vec<_>>(), expected);
    }
}
