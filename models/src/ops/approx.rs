//! exp and tanh for loops that the compiler vectorises: no branches, no calls, errors below 1e-6 of the value.

/// exp(x); below -87 it stays at exp(-87) = 1.6e-38, above 88 at exp(88) = 1.7e38.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; 2^n is written into the bits of a float and exp(r) - 1 is a polynomial.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has few enough bits that n times it is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor series: the first missing term is r^8 / 8! < 6e-9.
    let p = 1.0 / 5040.0;
    let p = p * r + 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r * r + r;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    power + power * p
}

/// tanh(x) as x P(x^2) / Q(x^2), fitted for the least relative error on [-9, 9], 2.1e-8, and made smaller by 3e-7, so that
/// no rounding takes it above 1. Beyond, it stays at 1 - 4e-7.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let x = x.clamp(-9.0, 9.0);
    let u = x * x;
    let p = 1.335_470_8e-8;
    let p = p * u + 2.060_911_7e-5;
    let p = p * u + 3.495_589_8e-3;
    let p = p * u + 0.133_810_24;
    let p = p * u + 0.999_999_7;
    let q = 7.776_580_6e-7;
    let q = q * u + 3.285_639e-4;
    let q = q * u + 0.025_876_993;
    let q = q * u + 0.467_143_44;
    let q = q * u + 1.0;
    x * p / q
}

/// 1 / (1 + exp(-x)).
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest |f(x) - truth(x)| / |truth(x)| over a scan of [from, to].
    fn worst(from: f64, to: f64, f: fn(f32) -> f32, truth: fn(f64) -> f64) -> f64 {
        let steps = 200_003;
        let error = |i| {
            let x = (from + (to - from) * i as f64 / steps as f64) as f32;
            let exact = truth(f64::from(x));
            if exact == 0.0 { f64::from(f(x)).abs() } else { ((f64::from(f(x)) - exact) / exact).abs() }
        };
        (0..=steps).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn approximations_stay_below_a_millionth() {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (from, to) in [(-87.0, 88.0), (-1.0, 1.0), (-1e-3, 1e-3)] {
            assert!(worst(from, to, exp, f64::exp) < 1e-6, "exp on {from}..{to}");
        }
        for (from, to) in [(-30.0, 30.0), (-1.0, 1.0), (-1e-3, 1e-3), (-1e-30, 1e-30)] {
            assert!(worst(from, to, tanh, f64::tanh) < 1e-6, "tanh on {from}..{to}");
        }
        for (from, to) in [(-86.0, 86.0), (-1.0, 1.0)] {
            assert!(worst(from, to, sigmoid, logistic) < 1e-6, "sigmoid on {from}..{to}");
        }
    }

    #[test]
    fn tanh_never_passes_one() {
        let all = (3f32.to_bits()..=9f32.to_bits()).map(f32::from_bits);
        assert!(all.map(tanh).fold(0.0, f32::max) <= 1.0);
    }

    #[test]
    fn ends_of_the_range() {
        assert!((1.0 - 6e-7..=1.0).contains(&tanh(f32::INFINITY)));
        assert_eq!(tanh(f32::NEG_INFINITY), -tanh(f32::INFINITY));
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
        assert!(exp(f32::INFINITY).is_finite());
        assert_eq!(sigmoid(f32::INFINITY), 1.0);
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }
}
