//! Motion energy: how much a generated clip moves, against the real one.
//!
//! The energy of a stretch is the mean absolute difference of consecutive video frames. A ratio of 1 moves as much as the
//! real speaker; nets trained on means alone move less (published ParaLip clips: 0.40 in the last third). It is also
//! given for each third of the clip, since errors that grow with time show in the last.

use super::{ClipPair, Metric};

/// Motion of generated clips over motion of real ones.
#[derive(Debug, Clone)]
pub struct MotionEnergy {
    third: Option<usize>,
    generated: f64,
    real: f64,
}

impl MotionEnergy {
    /// Over whole clips.
    pub fn whole() -> Self {
        Self { third: None, generated: 0.0, real: 0.0 }
    }

    /// Over a third of each clip: 0, 1 or 2.
    pub fn third(third: usize) -> Self {
        Self { third: Some(third.min(2)), generated: 0.0, real: 0.0 }
    }
}

impl Metric<ClipPair<'_>> for MotionEnergy {
    fn name(&self) -> &'static str {
        match self.third {
            None => "motion_energy",
            Some(0) => "motion_energy_first_third",
            Some(1) => "motion_energy_second_third",
            Some(_) => "motion_energy_last_third",
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
            if self.third.is_none_or(|third| 3 * k / steps == third) {
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
        let pair = ClipPair { size: (1, 1), generated: &generated, real: &real };
        let value = |mut metric: MotionEnergy| {
            metric.update(&pair);
            metric.value().unwrap()
        };
        assert_eq!(value(MotionEnergy::whole()), 0.5);
        let thirds: Vec<f64> = (0..3).map(|third| value(MotionEnergy::third(third))).collect();
        assert_eq!(thirds, [0.5, 1.0, 0.0]);
    }
}
