//! Complex Gaussian noise that is a function of seed, mel frame and bin, not of what was drawn before.
//!
//! So that a stream and a whole synthesis, in any order and on any number of threads, get the same noise. A counter
//! goes through SplitMix64's finaliser (Steele, Lea, Flood 2014), then Box and Muller's transform.

use std::f32::consts::TAU;

use realfft::num_complex::Complex32;

/// SplitMix64's step and finaliser.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(counter: u64) -> u64 {
    let z = counter.wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Fills one mel frame's bins; real and imaginary parts are independent and have variance 1.
pub(crate) fn fill_gaussian(seed: u64, mel_frame: u64, bins: &mut [Complex32]) {
    let key = mix(mix(seed) ^ mel_frame);
    for (bin, value) in bins.iter_mut().enumerate() {
        let bits = mix(key ^ (bin as u64).wrapping_mul(STEP));
        // (0, 1]: the logarithm needs no 0.
        let first = ((bits >> 40) + 1) as f32 / (1u32 << 24) as f32;
        let second = (bits & 0xFF_FFFF) as f32 / (1u32 << 24) as f32;
        let radius = (-2.0 * first.ln()).sqrt();
        let (sin, cos) = (TAU * second).sin_cos();
        *value = Complex32::new(radius * cos, radius * sin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_white_gaussian_and_reproducible() {
        let mut values = Vec::new();
        let mut bins = vec![Complex32::default(); 601];
        for mel_frame in 0..200 {
            fill_gaussian(1, mel_frame, &mut bins);
            values.extend(bins.iter().flat_map(|bin| [f64::from(bin.re), f64::from(bin.im)]));
        }
        let n = values.len() as f64;
        let moment = |power: i32| values.iter().map(|v| v.powi(power)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.01, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.015, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.12, "kurtosis {}", moment(4));
        for lag in [1, 2, 1202, 2404] {
            let correlation: f64 = values.iter().zip(&values[lag..]).map(|(a, b)| a * b).sum::<f64>() / n;
            assert!(correlation.abs() < 0.012, "lag {lag}: {correlation}");
        }
        let mut again = vec![Complex32::default(); 601];
        fill_gaussian(1, 199, &mut again);
        assert_eq!(bins, again);
        fill_gaussian(2, 199, &mut again);
        assert_ne!(bins, again);
    }
}
