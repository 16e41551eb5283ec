//! Landmark distance (LMD): how far the mouth's landmarks in a generated video frame are from those in the real one.
//!
//! The mean over video frames and points of their Euclidean distance, in pixels of the crop of 160 x 80, in which a face is
//! 256 pixels high as in ParaLip. Both sides are read by the same net. The metric's authors (Chen et al. 2018, "Lip
//! Movements Generation at a Glance") first move the mean points of both mouths onto each other; ParaLip does not say
//! whether it does. So there are both: with the place of the mouth, and without it.

use super::landmarks::MouthPair;
use super::{Mean, Metric};
use crate::data::lips::MouthPoints;

/// Mean distance of landmarks.
#[derive(Debug, Clone)]
pub struct Lmd {
    centred: bool,
    mean: Mean,
}

impl Lmd {
    /// Of the points where they are.
    pub fn in_place() -> Self {
        Self { centred: false, mean: Mean::default() }
    }

    /// Of the points around their mean.
    pub fn centred() -> Self {
        Self { centred: true, mean: Mean::default() }
    }
}

impl Metric<MouthPair<'_>> for Lmd {
    fn name(&self) -> &'static str {
        if self.centred { "lmd_centred" } else { "lmd" }
    }

    fn unit(&self) -> &'static str {
        "px"
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn update(&mut self, mouths: &MouthPair<'_>) {
        for (generated, real) in mouths.generated.points.iter().zip(mouths.real.points) {
            let [from, to] = [generated, real].map(|points| if self.centred { middle(points) } else { [0.0; 2] });
            for (a, b) in generated.iter().zip(real) {
                let [dx, dy] = [0, 1].map(|axis| f64::from((a[axis] - from[axis]) - (b[axis] - to[axis])));
                self.mean.add(dx.hypot(dy));
            }
        }
    }

    fn value(&self) -> Option<f64> {
        self.mean.value()
    }
}

fn middle(points: &MouthPoints) -> [f32; 2] {
    [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f32>() / points.len() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::lips::MOUTH_POINTS;
    use crate::metrics::landmarks::Mouth;
    use crate::timeline::Timeline;

    #[test]
    fn the_mean_of_distances_with_and_without_the_mouths_place() {
        let timeline = Timeline::from_seconds(&[0.0, 0.08]).unwrap();
        let real: MouthPoints = std::array::from_fn(|p| [p as f32, (p * p % 7) as f32]);
        // All points 3 right and 4 down: 5 pixels away, and none around their mean.
        let moved = real.map(|[x, y]| [x + 3.0, y + 4.0]);
        // One of 20 points 10 to the right: half a pixel on average. Its mean moves by 0.5, so that point is 9.5 off and
        // the others are 0.5 off.
        let mut bent = real;
        bent[MOUTH_POINTS - 1][0] += 10.0;
        let of = |mut metric: Lmd, points: &[MouthPoints]| {
            let mouth = |points| Mouth { points, symbols: &[], timeline: &timeline, fps: 25.0 };
            metric.update(&MouthPair { generated: mouth(points), real: mouth(&[real, real]) });
            metric.value().unwrap()
        };
        assert!((of(Lmd::in_place(), &[moved, moved]) - 5.0).abs() < 1e-5);
        assert!(of(Lmd::centred(), &[moved, moved]) < 1e-5);
        assert!((of(Lmd::in_place(), &[bent, real]) - 0.25).abs() < 1e-5);
        assert!((of(Lmd::centred(), &[bent]) - (9.5 + 19.0 * 0.5) / 20.0).abs() < 1e-5);
        // A shorter clip is compared as far as it goes.
        assert!((of(Lmd::in_place(), &[moved]) - 5.0).abs() < 1e-5);
    }
}
