//! Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004), as scikit-image computes it with `gaussian_weights=True,
//! sigma=1.5, use_sample_covariance=False`: a Gaussian window of 11 x 11, each channel alone, K1 = 0.01, K2 = 0.03, the
//! mean over all places where the window lies inside of the picture.

use rayon::prelude::*;

use super::{ClipPair, Mean, Metric};

/// Half of the window: 3.5 sigma, rounded.
const RADIUS: usize = 5;
const SIGMA: f64 = 1.5;

/// Mean SSIM of video frames.
#[derive(Debug, Clone, Default)]
pub struct Ssim(Mean);

/// SSIM of two RGB pictures, (height, width, 3) bytes each, of at least 11 x 11 pixels.
///
/// # Panics
/// Where the pictures are smaller.
pub fn ssim(generated: &[u8], real: &[u8], (width, height): (usize, usize)) -> f64 {
    assert!(width > 2 * RADIUS && height > 2 * RADIUS, "SSIM needs pictures of at least 11 x 11 pixels");
    let mut window: Vec<f32> =
        (-(RADIUS as i32)..=RADIUS as i32).map(|i| (-0.5 * (f64::from(i) / SIGMA).powi(2)).exp() as f32).collect();
    let sum: f32 = window.iter().sum();
    window.iter_mut().for_each(|weight| *weight /= sum);

    let (c1, c2) = (0.01f32.powi(2), 0.03f32.powi(2));
    let mut mean = Mean::default();
    for channel in 0..3 {
        let plane = |bytes: &[u8]| -> Vec<f32> {
            bytes.iter().skip(channel).step_by(3).map(|&byte| f32::from(byte) / 255.0).collect()
        };
        let (x, y) = (plane(generated), plane(real));
        let product = |a: &[f32], b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
        let blur = |values: &[f32]| blur(values, (width, height), &window);
        let (mx, my) = (blur(&x), blur(&y));
        let (xx, yy, xy) = (blur(&product(&x, &x)), blur(&product(&y, &y)), blur(&product(&x, &y)));
        for i in 0..mx.len() {
            let (mx, my) = (mx[i], my[i]);
            let (vx, vy, vxy) = (xx[i] - mx * mx, yy[i] - my * my, xy[i] - mx * my);
            let likeness = (2.0 * mx * my + c1) * (2.0 * vxy + c2);
            mean.add(f64::from(likeness / ((mx * mx + my * my + c1) * (vx + vy + c2))));
        }
    }
    mean.value().expect("the picture is larger than the window")
}

/// Windowed mean at each place where the window is inside: (height - 10) x (width - 10).
fn blur(values: &[f32], (width, height): (usize, usize), window: &[f32]) -> Vec<f32> {
    let inner = width - 2 * RADIUS;
    let mut rows = vec![0.0; height * inner];
    for (row, out) in values.chunks_exact(width).zip(rows.chunks_exact_mut(inner)) {
        for (k, weight) in window.iter().enumerate() {
            out.iter_mut().zip(&row[k..]).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    let mut out = vec![0.0; (height - 2 * RADIUS) * inner];
    for (y, out) in out.chunks_exact_mut(inner).enumerate() {
        for (k, weight) in window.iter().enumerate() {
            let row = &rows[(y + k) * inner..][..inner];
            out.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    out
}

impl Metric<ClipPair<'_>> for Ssim {
    fn name(&self) -> &'static str {
        "ssim"
    }

    fn unit(&self) -> &'static str {
        ""
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn update(&mut self, clips: &ClipPair<'_>) {
        let pairs: Vec<_> = clips.video_frames().collect();
        let values: Vec<f64> = pairs.into_par_iter().map(|(a, b)| ssim(a, b, clips.size)).collect();
        values.into_iter().for_each(|value| self.0.add(value));
    }

    fn value(&self) -> Option<f64> {
        self.0.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What scikit-image 0.26.0 printed.
    const EXPECTED: f64 = 0.9771470443437845;

    #[test]
    fn equals_scikit_image() {
        // import numpy as np
        // from skimage.metrics import structural_similarity
        // y, x, c = np.mgrid[0:24, 0:32, 0:3]
        // a = ((x * 7 + y * 13 + c * 40 + (x * y) % 17 * 5) % 256).astype(np.uint8)
        // b = np.clip(a.astype(int) + (x * 3 + y * 5 + c) % 31 - 12, 0, 255).astype(np.uint8)
        // print(structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        //                             channel_axis=2, data_range=255))
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for y in 0..24i32 {
            for x in 0..32i32 {
                for c in 0..3i32 {
                    let value = (x * 7 + y * 13 + c * 40 + (x * y) % 17 * 5) % 256;
                    a.push(value as u8);
                    b.push((value + (x * 3 + y * 5 + c) % 31 - 12).clamp(0, 255) as u8);
                }
            }
        }
        let got = ssim(&a, &b, (32, 24));
        assert!((got - EXPECTED).abs() < 1e-5, "{got}");
        assert!((ssim(&a, &a, (32, 24)) - 1.0).abs() < 1e-6);
        let mut metric = Ssim::default();
        metric.update(&ClipPair {
            size: (32, 24),
            generated: &[a.clone(), a.clone()].concat(),
            real: &[a, b].concat(),
            sentence: (0, 0),
        });
        assert!((metric.value().unwrap() - (1.0 + EXPECTED) / 2.0).abs() < 1e-5);
    }
}
