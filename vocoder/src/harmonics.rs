//! What of a recording repeats with its F0, told apart from the rest.
//!
//! A comb over three neighbouring periods keeps what repeats and lets part of the noise through; a Wiener filter takes that
//! out again, as far as the power of what the comb took out tells it. A vocoder whose sources are taught apart learns less
//! noise than one that is taught their sum.

use realfft::num_complex::Complex32;

use crate::stft::{WindowedFft, overlap_add};

/// Weights of the period before, of this one and of the one after.
const COMB: [f64; 3] = [0.25, 0.5, 0.25];
/// Of white noise, the power that the comb lets through over that which it takes out: the sum of its squared weights, 3/8,
/// over that of the weights of what it leaves, (-1/4, 1/2, -1/4), 3/8.
const LEAK: f32 = 1.0;
/// Transform of the Wiener filter, and its hop.
const N_FFT: usize = 1024;
const STEP: usize = 256;
/// Bins and windows on each side over which powers are averaged.
const BINS_AROUND: usize = 2;
const WINDOWS_AROUND: usize = 1;
/// PCM samples on each side that a value between two of them is computed from.
const REACH: isize = 8;

/// PCM of the harmonics alone, as long as `f0_hz` is.
///
/// # Shapes
/// - `pcm`: hop_length PCM samples for each mel frame
/// - `f0_hz`: a value for each mel frame, at its centre; 0 where unvoiced
pub fn harmonics(pcm: &[f32], f0_hz: &[f32], sample_rate: u32, hop_length: usize) -> Vec<f32> {
    let length = (f0_hz.len() * hop_length).min(pcm.len());
    let pcm = &pcm[..length];
    let mut repeated = vec![0.0; length];
    let mut first = 0;
    while first < f0_hz.len() {
        let voiced = f0_hz[first..].iter().take_while(|f0| **f0 > 0.0).count();
        if voiced > 0 {
            let f0_hz = &f0_hz[first..first + voiced];
            comb(pcm, first * hop_length, f0_hz, [f64::from(sample_rate), hop_length as f64], &mut repeated);
        }
        first += voiced.max(1);
    }
    let rest: Vec<f32> = pcm.iter().zip(&repeated).map(|(all, repeated)| all - repeated).collect();
    wiener(&repeated, &rest)
}

/// Averages each PCM sample of one voiced stretch, which starts at `start`, with those a period before and after.
fn comb(pcm: &[f32], start: usize, f0_hz: &[f32], [sample_rate, hop_length]: [f64; 2], out: &mut [f32]) {
    let end = (start + f0_hz.len() * hop_length as usize).min(pcm.len());
    // Periods since the stretch began, at each of its PCM samples: F0 is linear between centres.
    let hertz = |at: usize| {
        let place = ((at as f64 + 0.5) / hop_length - 0.5).clamp(0.0, (f0_hz.len() - 1) as f64);
        let before = place as usize;
        let (low, high) = (f64::from(f0_hz[before]), f64::from(f0_hz[(before + 1).min(f0_hz.len() - 1)]));
        low + (high - low) * (place - before as f64)
    };
    let mut periods = Vec::with_capacity(end - start);
    let mut sum = 0.0;
    for at in 0..end - start {
        periods.push(sum);
        sum += hertz(at) / sample_rate;
    }
    for (k, shift) in [-1.0, 0.0, 1.0].into_iter().enumerate() {
        let mut after = 1;
        for (at, &here) in periods.iter().enumerate() {
            let there = here + shift;
            while after + 1 < periods.len() && periods[after] < there {
                after += 1;
            }
            let value = match (periods.get(after), periods.get(after.saturating_sub(1))) {
                (Some(high), Some(low)) if (*low..=*high).contains(&there) => {
                    let part = (there - low) / (high - low);
                    between(pcm, start + after - 1, part)
                }
                // Beyond the stretch: what is there stands in for it.
                _ => pcm[start + at],
            };
            out[start + at] += (COMB[k] * f64::from(value)) as f32;
        }
    }
}

/// The value at `at` + `part`, by a windowed sinc.
fn between(pcm: &[f32], at: usize, part: f64) -> f32 {
    use std::f64::consts::PI;
    // There the sinc is 1 and a quotient of zeros.
    if part.min(1.0 - part) < 1e-9 {
        return pcm[at + part.round() as usize];
    }
    let turn = (PI * part).sin();
    let mut sum = 0.0;
    for k in 1 - REACH..=REACH {
        let Some(value) = usize::try_from(at as isize + k).ok().and_then(|at| pcm.get(at)) else { continue };
        let distance = part - k as f64;
        let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
        let window = (0.5 * PI * distance / REACH as f64).cos().powi(2);
        sum += f64::from(*value) * sign * turn / (PI * distance) * window;
    }
    sum as f32
}

/// `kept` less what noise of the power of `rest` leaves in it.
fn wiener(kept: &[f32], rest: &[f32]) -> Vec<f32> {
    let fft = WindowedFft::new(N_FFT);
    let (windows, bins) = (fft.windows(kept.len(), STEP), fft.bins());
    let mut scratch = fft.scratch();
    let mut spectra = |pcm: &[f32]| {
        let mut spectra = Vec::with_capacity(windows * bins);
        for window in 0..windows {
            fft.analyse(pcm, fft.start(window, STEP), &mut scratch);
            spectra.extend_from_slice(&scratch.spectrum);
        }
        spectra
    };
    let (mut kept_spectra, rest_spectra) = (spectra(kept), spectra(rest));
    let (kept_power, rest_power) = (around(&kept_spectra, bins), around(&rest_spectra, bins));
    for ((value, kept), rest) in kept_spectra.iter_mut().zip(kept_power).zip(rest_power) {
        *value *= (1.0 - LEAK * rest / (kept + 1e-12)).max(0.0).sqrt();
    }
    let squared: Vec<f32> = fft.window.iter().map(|weight| weight * weight * N_FFT as f32).collect();
    let (mut pcm, mut envelope) = (vec![0.0; kept.len()], vec![0.0; kept.len()]);
    for (window, spectrum) in kept_spectra.chunks_exact(bins).enumerate() {
        scratch.spectrum.copy_from_slice(spectrum);
        fft.synthesise(&mut scratch);
        overlap_add(&mut pcm, fft.start(window, STEP), &scratch.pcm);
        overlap_add(&mut envelope, fft.start(window, STEP), &squared);
    }
    pcm.iter_mut().zip(&envelope).for_each(|(value, weight)| *value /= weight.max(1e-3));
    pcm
}

/// The power of each bin, averaged over its neighbours in frequency and time.
fn around(spectra: &[Complex32], bins: usize) -> Vec<f32> {
    let power: Vec<f32> = spectra.iter().map(Complex32::norm_sqr).collect();
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let along: Vec<f32> = power
        .chunks_exact(bins)
        .flat_map(|row| {
            (0..bins).map(|bin| mean(&row[bin.saturating_sub(BINS_AROUND)..(bin + BINS_AROUND + 1).min(bins)]))
        })
        .collect();
    let windows = spectra.len() / bins;
    let mut out = Vec::with_capacity(power.len());
    for window in 0..windows {
        let near = window.saturating_sub(WINDOWS_AROUND)..(window + WINDOWS_AROUND + 1).min(windows);
        let count = near.len() as f32;
        out.extend((0..bins).map(|bin| near.clone().map(|w| along[w * bins + bin]).sum::<f32>() / count));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Harmonics of a gliding F0 (with a mel frame's F0 at its centre), and white noise.
    fn sources() -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let f0_hz: Vec<f32> =
            (0..80).map(|t| if (8..72).contains(&t) { 110.0 + 0.5 * t as f32 } else { 0.0 }).collect();
        let (mut tones, mut turns) = (vec![0.0f32; 24_000], 0.0f64);
        for (at, tone) in tones.iter_mut().enumerate() {
            let place = (at as f64 + 0.5) / 300.0 - 0.5;
            turns += (110.0 + 0.5 * place) / 24_000.0;
            let voiced = (8 * 300..72 * 300).contains(&at);
            let sum: f64 = (1..40).map(|h| (std::f64::consts::TAU * turns * f64::from(h)).cos() / f64::from(h)).sum();
            *tone = if voiced { 0.1 * sum as f32 } else { 0.0 };
        }
        let mut noise = vec![0.0; 24_000];
        let mut state = 5u64;
        for value in &mut noise {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *value = 0.07 * ((state >> 40) as f32 / (1 << 24) as f32 - 0.5);
        }
        (tones, noise, f0_hz)
    }

    /// Energy over PCM samples far from the ends of the voiced stretch.
    fn energy(pcm: impl Iterator<Item = f32>) -> f32 {
        pcm.skip(3000).take(18_000).map(|value| value * value).sum()
    }

    #[test]
    fn what_repeats_is_kept_and_noise_is_not() {
        let (tones, noise, f0_hz) = sources();
        let mixed: Vec<f32> = tones.iter().zip(&noise).map(|(tone, noise)| tone + noise).collect();
        let of_tones = harmonics(&tones, &f0_hz, 24_000, 300);
        let lost = energy(tones.iter().zip(&of_tones).map(|(tone, kept)| tone - kept));
        assert!(lost < 0.01 * energy(tones.iter().copied()), "{lost} of {}", energy(tones.iter().copied()));
        let of_noise = energy(harmonics(&noise, &f0_hz, 24_000, 300).into_iter());
        assert!(of_noise < 0.25 * energy(noise.iter().copied()), "{of_noise} of {}", energy(noise.iter().copied()));
        let of_both = harmonics(&mixed, &f0_hz, 24_000, 300);
        let off = energy(of_both.iter().zip(&tones).map(|(kept, tone)| kept - tone));
        assert!(off < 0.4 * energy(noise.iter().copied()), "{off} of {}", energy(noise.iter().copied()));
    }

    #[test]
    fn nothing_repeats_where_nothing_is_voiced() {
        let (tones, _, _) = sources();
        assert!(harmonics(&tones, &[0.0; 80], 24_000, 300).iter().all(|value| *value == 0.0));
        assert!(harmonics(&[], &[], 24_000, 300).is_empty());
        assert_eq!(harmonics(&tones[..700], &[100.0, 0.0, 120.0], 24_000, 300).len(), 700);
    }
}
