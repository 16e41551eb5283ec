//! The sources of the Fourier vocoder as short-time spectra: the pulse train's and the noise's.

use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::FourierConfig;
use super::noise::fill_gaussian;
use super::pulse::PulseTrain;
use crate::error::{Result, VocoderError};
use crate::stft::WindowedFft;

/// Short-time spectra of the pulse train and of the noise for a batch of stretches of speech.
///
/// The pulse train's are divided by the height of one harmonic (the sum of the window over 2), so that a gain is the
/// magnitude that a harmonic gets over that of a full-scale cosine times n_fft / 4.
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

/// Makes excitations of one geometry.
#[derive(Clone)]
pub(crate) struct ExcitationMaker {
    pub(crate) pulses: PulseTrain,
    fft: WindowedFft,
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
    /// Seed of the noise.
    pub(crate) seed: u64,
}

impl ExcitationMaker {
    pub(crate) fn new(config: &FourierConfig) -> Self {
        let mel = &config.mel;
        Self {
            pulses: PulseTrain::new(mel.sample_rate, mel.hop_length, config.harmonic_limit_hz),
            fft: WindowedFft::new(mel.n_fft),
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
        let frames = harmonic.par_chunks_exact_mut(bins).zip(noise.par_chunks_exact_mut(bins));
        frames.enumerate().with_min_len(8).for_each_init(
            || self.fft.scratch(),
            |scratch, (index, (harmonic, noise))| {
                let mel_frame = stretch.wanted.start + index;
                self.fft.analyse(&pcm, (mel_frame * self.hop_length) as isize - padding, scratch);
                harmonic.iter_mut().zip(&scratch.spectrum).for_each(|(out, bin)| *out = bin * scale);
                fill_gaussian(stretch.seed, (stretch.first_mel_frame + mel_frame) as u64, noise);
            },
        );
    }

    /// Excitation of a batch of whole stretches; each begins with phase 0 and has noise of its own.
    pub(crate) fn batch(&self, f0_hz: &[f32], mel_frames: usize, seed: u64) -> Result<Excitation> {
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
            let seed = seed.wrapping_add((item as u64) << 40);
            let stretch = Stretch { f0_hz, phase: &phase, first_mel_frame: 0, wanted: 0..mel_frames, seed };
            self.fill(&stretch, harmonic, noise);
        });
        Ok(Excitation { batch, mel_frames, bins, harmonic, noise })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmonic_has_height_one() {
        let maker = ExcitationMaker::new(&FourierConfig::default());
        // 240 Hz is bin 12 of 20 Hz each.
        let excitation = maker.batch(&[240.0; 20], 20, 3).expect("one item");
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
        let whole = maker.batch(&f0, 40, 9).expect("one item");
        let context = ExcitationMaker::context(&config);
        let known = 12 - context..20 + context;
        let mut harmonic = vec![Complex32::default(); 8 * 601];
        let mut noise = harmonic.clone();
        let stretch = Stretch {
            f0_hz: &f0[known.clone()],
            phase: &phase[known.clone()],
            first_mel_frame: known.start,
            wanted: context..context + 8,
            seed: 9,
        };
        maker.fill(&stretch, &mut harmonic, &mut noise);
        assert_eq!(harmonic, whole.harmonic[12 * 601..20 * 601]);
        assert_eq!(noise, whole.noise[12 * 601..20 * 601]);
        assert!(maker.batch(&f0, 7, 0).is_err());
    }
}
