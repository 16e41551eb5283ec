//! Sharpness: how much fine detail the mouth of a generated clip has, against the real one.
//!
//! The measure of a video frame is the one by which images are sharpened ([`paravox_models::image_decoder::sharpness`]). Nets
//! trained on means alone blur what they are unsure of: PSNR rewards that, this does not.

use paravox_models::image_decoder::sharpness::{covariance, laplacian, luma};

use super::{ClipPair, Metric};

/// Variance of the Laplacian of generated clips over that of real ones.
#[derive(Debug, Clone, Default)]
pub struct Sharpness {
    generated: f64,
    real: f64,
}

/// Variance of the Laplacian of an RGB picture, (height, width, 3) bytes, where the mouth of a crop is.
pub fn sharpness(picture: &[u8], (width, height): (usize, usize)) -> f64 {
    let rgb = |x: usize, y: usize| [0, 1, 2].map(|c| f64::from(picture[3 * (y * width + x) + c]));
    let values = laplacian([width, height], |x, y| luma(rgb(x, y)));
    covariance(&values, &values)
}

impl Metric<ClipPair<'_>> for Sharpness {
    fn name(&self) -> &'static str {
        "sharpness"
    }

    fn unit(&self) -> &'static str {
        ""
    }

    /// Up to 1, which is the real pictures'.
    fn higher_is_better(&self) -> bool {
        true
    }

    fn update(&mut self, clips: &ClipPair<'_>) {
        for (generated, real) in clips.video_frames() {
            self.generated += sharpness(generated, clips.size);
            self.real += sharpness(real, clips.size);
        }
    }

    fn value(&self) -> Option<f64> {
        (self.real > 0.0).then(|| self.generated / self.real)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_scipy() {
        // import numpy as np
        // from scipy.ndimage import laplace
        // y, x, c = np.mgrid[0:24, 0:40, 0:3]
        // a = ((x * 7 + y * 13 + c * 40 + (x * y) % 17 * 5) % 256).astype(np.uint8)
        // print(laplace(a @ [0.299, 0.587, 0.114])[5:17, 11:29].var())
        const EXPECTED: f64 = 22_563.338_575_373_11;
        let values = (0..24i32).flat_map(|y| {
            (0..40i32).flat_map(move |x| (0..3).map(move |c| (x * 7 + y * 13 + c * 40 + (x * y) % 17 * 5) % 256))
        });
        let picture: Vec<u8> = values.map(|value| value as u8).collect();
        let got = sharpness(&picture, (40, 24));
        assert!((got - EXPECTED).abs() < 1e-6 * EXPECTED, "{got}");
    }

    #[test]
    fn a_blurred_clip_has_less_of_it() {
        // Stripes of one pixel, and the same with half of the contrast: a quarter of the variance.
        let stripes = |height: i32| -> Vec<u8> {
            (0..40 * 24).flat_map(|i| [(128 + height * (1 - 2 * (i % 2))) as u8; 3]).collect()
        };
        let mut metric = Sharpness::default();
        assert_eq!(metric.value(), None);
        metric.update(&ClipPair { size: (40, 24), generated: &stripes(20), real: &stripes(40), sentence: (0, 0) });
        assert!((metric.value().unwrap() - 0.25).abs() < 1e-9);
    }
}
