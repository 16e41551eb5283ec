//! Peak signal-to-noise ratio, the mean over video frames of 10 log10(255^2 / mean squared difference).

use super::{ClipPair, Mean, Metric};

/// A video frame that is equal to the real one counts as this many dB, not as infinitely many.
const CEILING_DB: f64 = 100.0;

/// Mean PSNR of video frames.
#[derive(Debug, Clone, Default)]
pub struct Psnr(Mean);

/// PSNR of two pictures of bytes in dB.
pub fn psnr(generated: &[u8], real: &[u8]) -> f64 {
    let squares: u64 = generated.iter().zip(real).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    let mean = squares as f64 / generated.len().max(1) as f64;
    (10.0 * (255.0 * 255.0 / mean).log10()).min(CEILING_DB)
}

impl Metric<ClipPair<'_>> for Psnr {
    fn name(&self) -> &'static str {
        "psnr"
    }

    fn unit(&self) -> &'static str {
        "dB"
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn update(&mut self, clips: &ClipPair<'_>) {
        for (generated, real) in clips.video_frames() {
            self.0.add(psnr(generated, real));
        }
    }

    fn value(&self) -> Option<f64> {
        self.0.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_definition_and_averages_video_frames() {
        // A difference of 5 everywhere: 20 log10(255 / 5) = 34.1514.
        let real = [100u8; 2 * 2 * 3 * 2];
        let mut generated = [105u8; 2 * 2 * 3 * 2];
        assert!((psnr(&generated, &real) - 34.1514).abs() < 1e-4);
        generated[12..].fill(110);
        let mut metric = Psnr::default();
        assert_eq!(metric.value(), None);
        metric.update(&ClipPair { size: (2, 2), generated: &generated, real: &real, sentence: (0, 0) });
        assert!((metric.value().unwrap() - (34.1514 + 28.1308) / 2.0).abs() < 1e-4);
        assert_eq!(psnr(&real, &real), CEILING_DB);
    }
}
