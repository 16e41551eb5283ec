//! The sources of the Fourier vocoder as short-time spectra: the pulse train's and the noise's.
//!
//! The pulse train is seen through the long window of the synthesis, which tells its harmonics apart. The noise is seen
//! through one of two hops, so that a gain shapes 25 ms of it and not 50: breath, and the noise of vowels too, come and
//! go faster than a long window lets them.

use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::FourierConfig;
use super::noise::fill_gaussian;
use super::pulse::PulseTrain;
use crate::error::{Result, VocoderError};
use crate::mel::hann_window;
use crate::stft::WindowedFft;

/// Short-time spectra of the pulse train and of the noise for a batch of stretches of speech.
///
/// The pulse train's are divided by the height of one harmonic (the sum of the window over 2), so that a gain is the
/// magnitude that a harmonic gets over that of a full-scale cosine times n_fft / 4. Noise of gain 1 becomes white noise
/// with a standard deviation of [`NOISE_LEVEL`].
#[derive(Clone)]
pub struct Excitation {
    pub(crate) batch: usize,
    pub(crate) mel_frames: usize,
    pub(crate) bins: usize,
    /// (batch, mel_frames, bins)
    pub(crate) harmonic: Vec<Complex32>,
    /// (batch, mel_frames, bins)
    pub(crate) noise: Vec<Complex32>,
}

impl std::fmt::Debug for Excitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { batch, mel_frames, bins, .. } = self;
        write!(f, "Excitation({batch} x {mel_frames} mel frames x {bins} bins)")
    }
}

/// About the noise of speech, so that its log-gains are of the size of the harmonics'.
const NOISE_LEVEL: f32 = 1.0 / 30.0;

/// Bins to each side over which the power of noise is averaged.
const SMOOTHING: usize = 4;

/// Makes excitations of one geometry.
#[derive(Clone)]
pub(crate) struct ExcitationMaker {
    pub(crate) pulses: PulseTrain,
    fft: WindowedFft,
    /// (2 hop_length) Weights of the noise around the middle of a mel frame.
    noise_window: Vec<f32>,
    hop_length: usize,
}

/// Mel frames of which an excitation is wanted, and what is known of their surroundings.
pub(crate) struct Stretch<'a> {
    /// F0 in hertz of the known mel frames.
    pub(crate) f0_hz: &'a [f32],
    /// Phase at their centres.
    pub(crate) phase: &'a [f64],
    /// Absolute number of the first known mel frame.
    pub(crate) first_mel_frame: usize,
    /// The wanted ones, counted from the first known one.
    pub(crate) wanted: std::ops::Range<usize>,
    /// Seed of the noise; `None`: it is left as it is.
    pub(crate) seed: Option<u64>,
}

impl ExcitationMaker {
    pub(crate) fn new(config: &FourierConfig) -> Self {
        let mel = &config.mel;
        let fft = WindowedFft::new(mel.n_fft);
        Self {
            pulses: PulseTrain::new(mel.sample_rate, mel.hop_length, config.harmonic_limit_hz),
            noise_window: noise_window(&fft, mel.hop_length),
            fft,
            hop_length: mel.hop_length,
        }
    }

    /// Mel frames on each side that the excitation of a mel frame depends on, apart from the phase.
    pub(crate) fn context(config: &FourierConfig) -> usize {
        // Its window, and one more for the interpolation of F0.
        config.overlap() + 1
    }

    /// Fills `harmonic` and `noise`, each (wanted mel frames, bins).
    pub(crate) fn fill(&self, stretch: &Stretch, harmonic: &mut [Complex32], noise: &mut [Complex32]) {
        let known = stretch.f0_hz.len();
        let mut pcm = vec![0.0; known * self.hop_length];
        pcm.par_chunks_exact_mut(self.hop_length).enumerate().with_min_len(8).for_each(|(at, out)| {
            let f0 = |at: Option<usize>| at.and_then(|at| stretch.f0_hz.get(at)).copied().unwrap_or(0.0);
            self.pulses.render(stretch.phase[at], [f0(at.checked_sub(1)), f0(Some(at)), f0(Some(at + 1))], out);
        });
        let bins = self.fft.bins();
        let padding = ((self.fft.n_fft - self.hop_length) / 2) as isize;
        let scale = 4.0 / self.fft.n_fft as f32;
        // White noise from half a hop before the first wanted mel frame to half a hop after the last.
        let first = (stretch.first_mel_frame + stretch.wanted.start) as u64;
        let mut white = Vec::new();
        if let Some(seed) = stretch.seed {
            white.resize((stretch.wanted.len() + 2) * self.hop_length, 0.0);
            white.par_chunks_exact_mut(self.hop_length).enumerate().with_min_len(8).for_each(|(at, out)| {
                fill_gaussian(seed, (first + at as u64).wrapping_sub(1), out);
            });
        }
        let frames = harmonic.par_chunks_exact_mut(bins).zip(noise.par_chunks_exact_mut(bins));
        frames.enumerate().with_min_len(8).for_each_init(
            || self.fft.scratch(),
            |scratch, (index, (harmonic, noise))| {
                let mel_frame = stretch.wanted.start + index;
                self.fft.analyse(&pcm, (mel_frame * self.hop_length) as isize - padding, scratch);
                harmonic.iter_mut().zip(&scratch.spectrum).for_each(|(out, bin)| *out = bin * scale);
                if stretch.seed.is_some() {
                    let start = (index * self.hop_length + self.hop_length / 2) as isize;
                    self.fft.analyse_through(&self.noise_window, &white, start, scratch);
                    noise.copy_from_slice(&scratch.spectrum);
                }
            },
        );
    }

    /// Excitation of a batch of whole stretches; each begins with phase 0 and has noise of its own, or none without a seed.
    pub(crate) fn batch(&self, f0_hz: &[f32], mel_frames: usize, seed: Option<u64>) -> Result<Excitation> {
        if mel_frames == 0 || !f0_hz.len().is_multiple_of(mel_frames) {
            return Err(VocoderError::input(format!(
                "{} values of F0 are not a batch of {mel_frames} mel frames",
                f0_hz.len()
            )));
        }
        let (batch, bins) = (f0_hz.len() / mel_frames, self.fft.bins());
        let mut harmonic = vec![Complex32::default(); f0_hz.len() * bins];
        let mut noise = harmonic.clone();
        let items = harmonic.par_chunks_exact_mut(mel_frames * bins).zip(noise.par_chunks_exact_mut(mel_frames * bins));
        items.zip(f0_hz.par_chunks_exact(mel_frames)).enumerate().for_each(|(item, ((harmonic, noise), f0_hz))| {
            let mut before = (0.0, 0.0);
            let phase: Vec<f64> = f0_hz
                .iter()
                .map(|&f0| {
                    before = (self.pulses.next_phase(before, f0), f0);
                    before.0
                })
                .collect();
            // A different seed for each item: far apart, so that neighbouring steps' seeds do not meet them.
            let seed = seed.map(|seed| seed.wrapping_add((item as u64) << 40));
            let stretch = Stretch { f0_hz, phase: &phase, first_mel_frame: 0, wanted: 0..mel_frames, seed };
            self.fill(&stretch, harmonic, noise);
        });
        Ok(Excitation { batch, mel_frames, bins, harmonic, noise })
    }

    /// ln of the power that noise of gain 1 has in a bin, seen through the window of the synthesis.
    pub(crate) fn log_noise_power(&self) -> f64 {
        let squares: f32 = self.fft.window.iter().map(|weight| weight * weight).sum();
        f64::from(NOISE_LEVEL * NOISE_LEVEL * squares).ln()
    }

    /// Power of the noise in a batch of recordings over that of noise of gain 1, in every bin of every mel frame as the
    /// noise's window sees it, averaged over nine neighbouring bins: (B, T, bins).
    pub(crate) fn noise_power(&self, pcm: &[f32], mel_frames: usize) -> Vec<f32> {
        let (bins, hop_length) = (self.fft.bins(), self.hop_length);
        let unit = NOISE_LEVEL * NOISE_LEVEL * self.noise_window.iter().map(|weight| weight * weight).sum::<f32>();
        let mut power = vec![0.0; pcm.len() / hop_length * bins];
        power.par_chunks_exact_mut(bins).enumerate().with_min_len(8).for_each_init(
            || (self.fft.scratch(), vec![0.0; bins]),
            |(scratch, raw), (index, out)| {
                let item = &pcm[index / mel_frames * mel_frames * hop_length..][..mel_frames * hop_length];
                let start = ((index % mel_frames) * hop_length) as isize - (hop_length / 2) as isize;
                self.fft.analyse_through(&self.noise_window, item, start, scratch);
                raw.iter_mut().zip(&scratch.spectrum).for_each(|(out, bin)| *out = bin.norm_sqr() / unit);
                for (bin, out) in out.iter_mut().enumerate() {
                    let near = &raw[bin.saturating_sub(SMOOTHING)..(bin + SMOOTHING + 1).min(bins)];
                    *out = near.iter().sum::<f32>() / near.len() as f32;
                }
            },
        );
        power
    }
}

/// Hann's window of two hops, whose shifts by a hop add up to 1, over what the synthesis makes of the middle of a mel
/// frame: its own window over the sum of its squares. At even n_fft and hop_length the middles of both coincide.
fn noise_window(fft: &WindowedFft, hop_length: usize) -> Vec<f32> {
    let start = fft.n_fft / 2 - hop_length;
    let squares = |at: usize| -> f32 {
        (at % hop_length..fft.n_fft).step_by(hop_length).map(|at| fft.window[at] * fft.window[at]).sum()
    };
    let hann = hann_window(2 * hop_length);
    let weight = |(at, hann): (usize, f32)| NOISE_LEVEL * hann * squares(start + at) / fft.window[start + at].max(1e-3);
    hann.into_iter().enumerate().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{Device, Tensor};

    use super::super::synthesis::Synthesiser;
    use super::*;

    #[test]
    fn a_harmonic_has_height_one() {
        let maker = ExcitationMaker::new(&FourierConfig::default());
        // 240 Hz is bin 12 of 20 Hz each.
        let excitation = maker.batch(&[240.0; 20], 20, Some(3)).expect("one item");
        let frame = &excitation.harmonic[10 * 601..11 * 601];
        for (bin, value) in frame.iter().enumerate().take(500) {
            let height = if bin % 12 == 0 {
                1.0
            } else if bin % 12 == 1 || bin % 12 == 11 {
                0.5
            } else {
                0.0
            };
            let height = if bin < 2 { 0.0 } else { height };
            assert!((value.norm() - height).abs() < 1e-3, "bin {bin}: {}", value.norm());
        }
    }

    /// Through the synthesis with gain 1 the shifted windows of the noise add up to white noise again.
    #[test]
    fn noise_of_gain_one_is_white() {
        for (n_fft, hop_length) in [(1200, 300), (48, 12), (48, 16), (600, 300)] {
            let mut config = FourierConfig::default();
            (config.mel.n_fft, config.mel.hop_length) = (n_fft, hop_length);
            let excitation = ExcitationMaker::new(&config).batch(&[0.0; 12], 12, Some(3)).expect("one item");
            let bins = config.bins();
            let mut head = vec![0.0f32; 12 * 3 * bins];
            head.chunks_exact_mut(3 * bins).for_each(|head| head[..bins].fill(-100.0));
            let head = Tensor::from_vec(head, (1, 12, 3 * bins), &Device::Cpu).expect("the sizes fit");
            let pcm = Synthesiser::new(&config).forward(&head, Arc::new(excitation)).expect("the sizes fit");
            let pcm: Vec<f32> = pcm.flatten_all().and_then(|pcm| pcm.to_vec1()).expect("a tensor of f32");
            let mut white = vec![0.0; hop_length];
            for mel_frame in 3..9 {
                fill_gaussian(3, mel_frame, &mut white);
                // Where two windows barely overlap the division by their squares loses digits.
                for (got, white) in pcm[mel_frame as usize * hop_length..].iter().zip(&white) {
                    assert!((got - NOISE_LEVEL * white).abs() < 2e-4, "{n_fft}, {hop_length}: {got} for {white}");
                }
            }
        }
    }

    #[test]
    fn a_part_equals_the_same_part_of_the_whole() {
        let config = FourierConfig::default();
        let maker = ExcitationMaker::new(&config);
        let f0: Vec<f32> = (0..40).map(|i| if i % 13 < 3 { 0.0 } else { 150.0 + 3.0 * i as f32 }).collect();
        let mut before = (0.0, 0.0);
        let mut phase = Vec::new();
        for &f0 in &f0 {
            before = (maker.pulses.next_phase(before, f0), f0);
            phase.push(before.0);
        }
        let whole = maker.batch(&f0, 40, Some(9)).expect("one item");
        let context = ExcitationMaker::context(&config);
        let known = 12 - context..20 + context;
        let mut harmonic = vec![Complex32::default(); 8 * 601];
        let mut noise = harmonic.clone();
        let stretch = Stretch {
            f0_hz: &f0[known.clone()],
            phase: &phase[known.clone()],
            first_mel_frame: known.start,
            wanted: context..context + 8,
            seed: Some(9),
        };
        maker.fill(&stretch, &mut harmonic, &mut noise);
        assert_eq!(harmonic, whole.harmonic[12 * 601..20 * 601]);
        assert_eq!(noise, whole.noise[12 * 601..20 * 601]);
        assert!(maker.batch(&f0, 7, Some(0)).is_err());
    }
}
