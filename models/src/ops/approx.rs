//! exp and tanh for loops that the compiler vectorises: no branches, no calls, errors below 1e-6 of the value.

/// 2^n and exp(r) - 1 with x = n ln 2 + r and |r| <= ln 2 / 2, for |x| <= 87.
#[inline(always)]
fn split_exp(x: f32) -> (f32, f32) {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has few enough bits that n times it is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
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
    (power, p)
}

/// exp(x); below -87 it stays at exp(-87) = 1.6e-38, above 88 at exp(88) = 1.7e38.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let (power, p) = split_exp(x.clamp(-87.0, 88.0));
    power + power * p
}

/// tanh(x) = (exp(2x) - 1) / (exp(2x) + 1); no digits are lost near 0 because exp(2x) - 1 is formed directly.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let (power, p) = split_exp((x + x).clamp(-20.0, 20.0));
    let e = power * p + (power - 1.0);
    e / (e + 2.0)
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
    fn ends_of_the_range() {
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert_eq!(tanh(f32::NEG_INFINITY), -1.0);
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
        assert!(exp(f32::INFINITY).is_finite());
        assert_eq!(sigmoid(f32::INFINITY), 1.0);
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }
}
