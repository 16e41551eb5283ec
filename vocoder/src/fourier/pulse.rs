//! The pulse train: at every pcm sample the sum of all cosines of the running F0 phase below a limit.
//!
//! F0 is linear between the centres of neighbouring voiced mel frames and held at the ends of a voiced stretch; its
//! running integral, the phase, is therefore a parabola between centres, and any mel frame can be rendered from the
//! phase at its centre alone. Phases are f64: they are positions, and must not drift.

use std::f64::consts::TAU;

use paravox_models::ops::approx;
use paravox_models::simd;

/// Renders pulse trains.
#[derive(Debug, Clone)]
pub(crate) struct PulseTrain {
    /// Pcm samples in a mel frame.
    hop_length: usize,
    /// Radians per pcm sample and hertz.
    radians_per_hz: f64,
    limit_hz: f64,
}

impl PulseTrain {
    pub(crate) fn new(sample_rate: u32, hop_length: usize, limit_hz: f64) -> Self {
        Self { hop_length, radians_per_hz: TAU / f64::from(sample_rate), limit_hz }
    }

    /// Phase at the centre of the mel frame after `before` = (phase at its centre, F0), 0..2 pi. The first mel frame
    /// comes after (0, 0).
    pub(crate) fn next_phase(&self, before: (f64, f32), f0_hz: f32) -> f64 {
        let half = self.hop_length as f64 / 2.0;
        // The mean F0 of two half mel frames: with both voiced that is the integral of the line between them.
        let hertz = f64::from(before.1) + f64::from(f0_hz);
        (before.0 + self.radians_per_hz * half * hertz).rem_euclid(TAU)
    }

    /// The pcm samples of one mel frame; 0 if it is unvoiced.
    ///
    /// `phase` is the phase at its centre, `f0_hz` the F0 of the mel frame before, of this one and of the one after.
    pub(crate) fn render(&self, phase: f64, f0_hz: [f32; 3], out: &mut [f32]) {
        let [before, here, after] = f0_hz.map(f64::from);
        if here <= 0.0 {
            out.fill(0.0);
            return;
        }
        let hop = self.hop_length as f64;
        let slope_before = if before > 0.0 { (here - before) / hop } else { 0.0 };
        let slope_after = if after > 0.0 { (after - here) / hop } else { 0.0 };
        let (before, after) = out.split_at_mut(self.hop_length.div_ceil(2));
        pulses(self, phase, [here, slope_before], -hop / 2.0, before);
        pulses(self, phase, [here, slope_after], before.len() as f64 - hop / 2.0, after);
    }

    /// Sum over h = 1..=H of cos(h t) + r cos((H + 1) t), where (H + 1 + r) f0 is the limit: the highest harmonic fades
    /// in, so that none appears at once while F0 falls.
    #[inline(always)]
    fn pulse(&self, phase: f64, f0_hz: f64) -> f32 {
        let harmonics = self.limit_hz / f0_hz - 1.0;
        let whole = harmonics.floor();
        let t = near_zero(phase);
        // Dirichlet's kernel. Angles are f64 until they are small; then the quotient is right in f32 up to the removable
        // singularity at t = 0 itself.
        let (half_sin, half_cos) = approx::sin_cos((0.5 * t) as f32);
        let (sin, cos) = approx::sin_cos(near_zero((whole + 0.5) * t) as f32);
        let sum = if t.abs() < 1e-9 { whole as f32 } else { sin / (2.0 * half_sin) - 0.5 };
        let highest = cos * half_cos - sin * half_sin;
        if harmonics > 0.0 { sum + (harmonics - whole) as f32 * highest } else { 0.0 }
    }
}

/// An angle less whole turns, from -pi to pi.
#[inline(always)]
fn near_zero(angle: f64) -> f64 {
    // Adding 1.5 * 2^52 rounds to the nearest integer.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    angle - TAU * ((angle / TAU + ROUND) - ROUND)
}

simd! {
    /// Pcm samples from `distance` on, counted from a mel frame's centre, where the phase is `phase` and the F0 `line[0]`,
    /// which rises by `line[1]` with every pcm sample.
    fn pulses(train: &PulseTrain, phase: f64, line: [f64; 2], distance: f64, out: &mut [f32]) {
        let [here, slope] = line;
        for (offset, value) in out.iter_mut().enumerate() {
            let distance = distance + offset as f64;
            let turn = train.radians_per_hz * (here + 0.5 * slope * distance) * distance;
            *value = train.pulse(phase + turn, here + slope * distance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use realfft::RealFftPlanner;

    fn train(f0_hz: &[f32]) -> Vec<f32> {
        let pulses = PulseTrain::new(24_000, 300, 11_000.0);
        let mut pcm = vec![0.0; 300 * f0_hz.len()];
        let mut before = (0.0, 0.0);
        for (mel_frame, out) in pcm.chunks_exact_mut(300).enumerate() {
            let f0 = f0_hz[mel_frame];
            let phase = pulses.next_phase(before, f0);
            let previous = mel_frame.checked_sub(1).map_or(0.0, |at| f0_hz[at]);
            pulses.render(phase, [previous, f0, f0_hz.get(mel_frame + 1).copied().unwrap_or(0.0)], out);
            before = (phase, f0);
        }
        pcm
    }

    #[test]
    fn closed_form_equals_the_sum_of_cosines() {
        let pulses = PulseTrain::new(24_000, 300, 11_000.0);
        for f0 in [70.3, 123.0, 220.0, 499.0, 6000.0] {
            for phase in [0.0, 1e-12, -1e-7, 1e-4, 0.5, 3.0, std::f64::consts::PI, 6.2, 40.0, -7.0] {
                let harmonics = 11_000.0 / f0 - 1.0;
                let whole = f64::floor(harmonics);
                let mut sum: f64 = (1..=whole as usize).map(|h| (h as f64 * phase).cos()).sum();
                sum += (harmonics - whole) * ((whole + 1.0) * phase).cos();
                let got = f64::from(pulses.pulse(phase, f0));
                assert!((got - sum).abs() < 3e-7 * (1.0 + harmonics), "{f0} Hz at {phase}: {got} for {sum}");
            }
        }
        assert_eq!(pulses.pulse(0.3, 12_000.0), 0.0);
    }

    #[test]
    fn has_its_f0_and_nothing_above_the_limit() {
        // 240 Hz has a period of 100 pcm samples: one second holds whole periods and every harmonic is one bin.
        let mut pcm = train(&[240.0; 80]);
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(24_000);
        let mut spectrum = fft.make_output_vec();
        fft.process(&mut pcm, &mut spectrum).expect("sizes fit");
        for (hz, bin) in spectrum.iter().enumerate() {
            let amplitude = bin.norm() / 12_000.0;
            let expected = match hz {
                0 => 0.0,
                _ if hz % 240 != 0 || hz > 11_000 => 0.0,
                // 11000 / 240 - 1 = 44.83: the 45th harmonic is at 0.83.
                10_800 => 44.0f32.mul_add(0.0, 11_000.0 / 240.0 - 45.0),
                _ => 1.0,
            };
            assert!((amplitude - expected).abs() < 2e-3, "{hz} Hz: {amplitude} for {expected}");
        }
    }

    #[test]
    fn phase_is_the_integral_of_f0() {
        // Over a glide from 100 to 179 Hz the pulses must be where the numeric integral of F0 is a whole number.
        let f0: Vec<f32> = (0..80).map(|i| 100.0 + i as f32).collect();
        let pcm = train(&f0);
        let hertz = |n: f64| ((n - 150.0) / 300.0).clamp(0.0, 79.0) + 100.0;
        let mut turns = 0.0;
        let mut pulses = 0;
        for n in 0..23_999usize {
            let next = turns + hertz(n as f64 + 0.5) / 24_000.0;
            if next.fract() < turns.fract() {
                let height = pcm[n].max(pcm[n + 1]);
                let full = 11_000.0 / hertz(n as f64) as f32;
                assert!(height > 0.55 * full, "no pulse at {n}: {height} of {full}");
                pulses += 1;
            }
            turns = next;
        }
        assert_eq!(pulses, 139);
    }

    #[test]
    fn unvoiced_is_silent() {
        let pcm = train(&[0.0, 0.0, 200.0, 200.0, 0.0]);
        assert!(pcm[..600].iter().chain(&pcm[1200..]).all(|&value| value == 0.0));
        assert!(pcm[600..1200].iter().any(|&value| value > 10.0));
    }
}
