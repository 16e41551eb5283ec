//! Elementary functions for loops that the compiler vectorises (see [`crate::simd`]): no branches, no calls, errors below
//! 1e-6 of the value.

/// exp(x); below -87 it stays at exp(-87) = 1.6e-38, above 88 at exp(88) = 1.7e38.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; 2^n is written into the bits of a float and exp(r) - 1 is a polynomial.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
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
pub fn tanh(x: f32) -> f32 {
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

/// ln(x) of a positive, normal x, as an error of 1e-6 of the value or 1e-7.
///
/// x = 2^n m with m from sqrt(1/2) to sqrt(2), and ln(m) = 2 artanh(s) with s = (m - 1) / (m + 1), |s| < 0.172.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    // The bits of sqrt(1/2), from which the exponent counts.
    const HALF_ROOT: u32 = 0x3F35_04F3;
    let above = x.to_bits().wrapping_sub(HALF_ROOT);
    let n = (above as i32 >> 23) as f32;
    let m = f32::from_bits((above & 0x007F_FFFF).wrapping_add(HALF_ROOT));
    let s = (m - 1.0) / (m + 1.0);
    let u = s * s;
    // The first missing term is 2 s^11 / 11 < 8e-10.
    let p = 2.0 / 9.0;
    let p = p * u + 2.0 / 7.0;
    let p = p * u + 2.0 / 5.0;
    let p = p * u + 2.0 / 3.0;
    let p = p * u + 2.0;
    n * std::f32::consts::LN_2 + s * p
}

/// sin(x) and cos(x) for |x| up to 10,000, with an error of 1e-7, or of the rounding of x where that is more.
///
/// x = n pi / 2 + r with |r| <= pi / 4; n tells which of the series of sin(r) and cos(r) is which, and their signs.
#[inline(always)]
pub fn sin_cos(x: f32) -> (f32, f32) {
    const ROUND: f32 = 12_582_912.0;
    // pi / 2 in three parts: the first two have few enough bits that n times them is exact.
    const HIGH: f32 = 1.570_312_5;
    const MIDDLE: f32 = 4.837_513e-4;
    const LOW: f32 = 7.549_79e-8;
    let rounded = x * std::f32::consts::FRAC_2_PI + ROUND;
    let n = rounded - ROUND;
    let r = ((x - n * HIGH) - n * MIDDLE) - n * LOW;
    let u = r * r;
    // Taylor series: the first missing terms are r^11 / 11! < 2e-9 and r^10 / 10! < 3e-8.
    let p = 1.0 / 362_880.0;
    let p = p * u - 1.0 / 5040.0;
    let p = p * u + 1.0 / 120.0;
    let p = p * u - 1.0 / 6.0;
    let sin = r + r * u * p;
    let q = 1.0 / 40_320.0;
    let q = q * u - 1.0 / 720.0;
    let q = q * u + 1.0 / 24.0;
    let q = q * u - 0.5;
    let cos = 1.0 + u * q;
    let turns = rounded.to_bits();
    let (odd, minus_sin, minus_cos) = (turns & 1 == 1, (turns & 2) << 30, (turns.wrapping_add(1) & 2) << 30);
    let (s, c) = if odd { (cos, sin) } else { (sin, cos) };
    (f32::from_bits(s.to_bits() ^ minus_sin), f32::from_bits(c.to_bits() ^ minus_cos))
}

/// 1 / (1 + exp(-x)).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
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
        for (from, to) in [(1e-30, 1.0), (1.0, 1e30), (0.3, 0.9), (1.1, 3.0)] {
            assert!(worst(from, to, ln, f64::ln) < 1e-6, "ln on {from}..{to}");
        }
        for (from, to) in [(-86.0, 86.0), (-1.0, 1.0)] {
            assert!(worst(from, to, sigmoid, logistic) < 1e-6, "sigmoid on {from}..{to}");
        }
    }

    #[test]
    fn sines_and_logarithms_near_their_zeros() {
        for i in -200_000..=200_000 {
            let x = i as f32 * 0.05;
            let (sin, cos) = sin_cos(x);
            let exact = f64::from(x).sin_cos();
            let off = (f64::from(sin) - exact.0).abs().max((f64::from(cos) - exact.1).abs());
            assert!(off < 2e-7, "{x}: {sin} {cos}");
        }
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
        assert!((sin_cos(1e-20).0 - 1e-20).abs() < 1e-26);
        for i in 1..1000 {
            let x = 1.0 + i as f32 * 1e-4;
            assert!((f64::from(ln(x)) - f64::from(x).ln()).abs() < 1e-7, "{x}");
        }
        assert_eq!(ln(1.0), 0.0);
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
