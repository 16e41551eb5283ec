//! White Gaussian noise that is a function of seed and mel frame, not of what was drawn before.
//!
//! So that a stream and a whole synthesis, in any order and on any number of threads, get the same noise. A counter
//! goes through SplitMix64's finaliser (Steele, Lea, Flood 2014), then Box and Muller's transform.

use std::f32::consts::TAU;

use paravox_models::ops::approx;
use paravox_models::simd;

/// SplitMix64's step and finaliser.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline(always)]
fn mix(counter: u64) -> u64 {
    let z = counter.wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Fills one mel frame's pcm samples: independent, mean 0, variance 1.
pub(crate) fn fill_gaussian(seed: u64, mel_frame: u64, pcm: &mut [f32]) {
    pairs(mix(mix(seed) ^ mel_frame), pcm);
}

/// Pairs that are worked on at once.
const PAIRS: usize = 32;

simd! {
    fn pairs(key: u64, pcm: &mut [f32]) {
        for (block, pcm) in pcm.chunks_mut(2 * PAIRS).enumerate() {
            let (mut firsts, mut seconds) = ([0.0; PAIRS], [0.0; PAIRS]);
            for (i, (one, other)) in firsts.iter_mut().zip(&mut seconds).enumerate() {
                let bits = mix(key ^ ((block * PAIRS + i) as u64).wrapping_mul(STEP));
                // (0, 1]: the logarithm needs no 0.
                let chance = ((bits >> 40) + 1) as i32 as f32 / (1u32 << 24) as f32;
                let turn = (bits & 0xFF_FFFF) as i32 as f32 / (1u32 << 24) as f32;
                let radius = (-2.0 * approx::ln(chance)).max(0.0).sqrt();
                let (sin, cos) = approx::sin_cos(TAU * turn);
                (*one, *other) = (radius * cos, radius * sin);
            }
            for (values, pair) in pcm.chunks_mut(2).zip(firsts.iter().zip(&seconds)) {
                values.iter_mut().zip([pair.0, pair.1]).for_each(|(value, drawn)| *value = *drawn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_white_gaussian_and_reproducible() {
        let mut values = Vec::new();
        let mut pcm = vec![0.0; 301];
        for mel_frame in 0..800 {
            fill_gaussian(1, mel_frame, &mut pcm);
            values.extend(pcm.iter().map(|value| f64::from(*value)));
        }
        let n = values.len() as f64;
        let moment = |power: i32| values.iter().map(|v| v.powi(power)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.01, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.015, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.12, "kurtosis {}", moment(4));
        for lag in [1, 2, 301, 602] {
            let correlation: f64 = values.iter().zip(&values[lag..]).map(|(a, b)| a * b).sum::<f64>() / n;
            assert!(correlation.abs() < 0.012, "lag {lag}: {correlation}");
        }
        let mut again = vec![0.0; 301];
        fill_gaussian(1, 799, &mut again);
        assert_eq!(pcm, again);
        fill_gaussian(2, 799, &mut again);
        assert_ne!(pcm, again);
    }
}
