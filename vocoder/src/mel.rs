//! The mel spectrogram that every vocoder of this crate reads.
//!
//! Magnitude of the short-time Fourier transform (periodic Hann window), summed into triangular bands that are even on
//! Slaney's mel scale (linear below 1 kHz, logarithmic above) and have area 1, as `librosa.filters.mel` defines them by
//! default, floored, natural logarithm. Geometry "same" of Vocos and HiFi-GAN: the PCM is reflected by
//! (n_fft - hop_length) / 2 at both ends, so that mel frame m covers pcm samples [hop m, hop (m + 1)) and its window is
//! centred on their middle; n pcm samples give n / hop_length mel frames.

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use crate::error::{Result, VocoderError};

/// Geometry and scale of a mel spectrogram. The default is Paravox's own: 24 kHz, 80 mel frames a second.
///
/// The names of HiFi-GAN's JSON (`sampling_rate`, `hop_size`, `num_mels`, ...) are accepted on input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MelConfig {
    /// Pcm samples per second. Default 24000.
    #[serde(alias = "sampling_rate")]
    pub sample_rate: u32,
    /// Points of the Fourier transform and of its window. Default 1200.
    pub n_fft: usize,
    /// Pcm samples from one mel frame to the next. Default 300.
    #[serde(alias = "hop_size")]
    pub hop_length: usize,
    /// Mel bands. Default 80.
    #[serde(alias = "num_mels")]
    pub n_mels: usize,
    /// Lower edge of the lowest band in hertz. Default 0.
    #[serde(alias = "fmin")]
    pub f_min_hz: f64,
    /// Upper edge of the highest band in hertz. Default 12000.
    #[serde(alias = "fmax")]
    pub f_max_hz: f64,
    /// Least band magnitude before the logarithm. Default 1e-5.
    pub floor: f32,
}

impl Default for MelConfig {
    fn default() -> Self {
        Self {
            sample_rate: 24_000,
            n_fft: 1200,
            hop_length: 300,
            n_mels: 80,
            f_min_hz: 0.0,
            f_max_hz: 12_000.0,
            floor: 1e-5,
        }
    }
}

impl MelConfig {
    /// Mel frames per second.
    pub fn mel_frames_per_second(&self) -> f64 {
        f64::from(self.sample_rate) / self.hop_length as f64
    }

    /// The frequency in hertz at which each mel band's weight is highest, from low to high.
    pub fn band_centres_hz(&self) -> Vec<f32> {
        band_edges_hz(self)[1..=self.n_mels].iter().map(|hz| *hz as f32).collect()
    }

    /// Says whether the numbers describe a spectrogram.
    ///
    /// # Errors
    /// [`VocoderError::Config`] naming the fault.
    pub fn check(&self) -> Result<()> {
        let nyquist = f64::from(self.sample_rate) / 2.0;
        let fault = if self.sample_rate == 0 || self.hop_length == 0 || self.n_mels == 0 {
            "sample_rate, hop_length and n_mels must be at least 1"
        } else if self.n_fft < self.hop_length || !(self.n_fft - self.hop_length).is_multiple_of(2) {
            "n_fft must be hop_length plus an even number"
        } else if !self.n_fft.is_multiple_of(2) {
            "n_fft must be even"
        } else if !(0.0 <= self.f_min_hz && self.f_min_hz < self.f_max_hz && self.f_max_hz <= nyquist) {
            "0 <= f_min_hz < f_max_hz <= sample_rate / 2 must hold"
        } else if !(self.floor > 0.0 && self.floor.is_finite()) {
            "floor must be above 0"
        } else {
            return Ok(());
        };
        Err(VocoderError::config(fault))
    }
}

/// One triangular band: its weights over consecutive Fourier bins.
#[derive(Debug, Clone)]
struct Band {
    first_bin: usize,
    weights: Vec<f32>,
}

/// Computes mel spectrograms. Cheap to share, usable from many threads.
#[derive(Clone)]
pub struct MelExtractor {
    config: MelConfig,
    window: Vec<f32>,
    bands: Vec<Band>,
    fft: Arc<dyn RealToComplex<f32>>,
}

impl MelExtractor {
    /// Prepares window, bands and transform.
    ///
    /// # Errors
    /// [`VocoderError::Config`] if `config` describes no spectrogram.
    pub fn new(config: MelConfig) -> Result<Self> {
        config.check()?;
        let window = hann_window(config.n_fft);
        let bands = mel_bands(&config);
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(config.n_fft);
        Ok(Self { config, window, bands, fft })
    }

    /// The configuration given to [`MelExtractor::new`].
    pub fn config(&self) -> &MelConfig {
        &self.config
    }

    /// Log-mel spectrogram of a recording at `config().sample_rate`, pcm samples in -1..1.
    ///
    /// # Shapes
    /// `pcm` (n) -> (n / hop_length, n_mels), mel frame by mel frame.
    pub fn extract(&self, pcm: &[f32]) -> Vec<f32> {
        let MelConfig { n_fft, hop_length, n_mels, floor, .. } = self.config;
        let mel_frames = pcm.len() / hop_length;
        let padding = (n_fft - hop_length) / 2;
        let mut mel = Vec::with_capacity(mel_frames * n_mels);
        let mut windowed = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        for mel_frame in 0..mel_frames {
            let start = (mel_frame * hop_length) as isize - padding as isize;
            for (offset, (value, weight)) in windowed.iter_mut().zip(&self.window).enumerate() {
                *value = pcm[reflect(start + offset as isize, pcm.len())] * weight;
            }
            self.fft
                .process_with_scratch(&mut windowed, &mut spectrum, &mut scratch)
                .expect("the buffers were made by this transform");
            mel.extend(self.bands.iter().map(|band| {
                let bins = &spectrum[band.first_bin..band.first_bin + band.weights.len()];
                let sum: f32 = bins.iter().zip(&band.weights).map(|(bin, weight)| bin.norm() * weight).sum();
                sum.max(floor).ln()
            }));
        }
        mel
    }
}

impl std::fmt::Debug for MelExtractor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MelExtractor").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Periodic Hann window of `length` points.
pub(crate) fn hann_window(length: usize) -> Vec<f32> {
    (0..length).map(|i| (std::f64::consts::PI * i as f64 / length as f64).sin().powi(2) as f32).collect()
}

/// Index into a recording of `length` pcm samples, reflected at both ends without repeating the end samples, as often
/// as needed. `length` must not be 0.
fn reflect(index: isize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1) as isize;
    let folded = index.rem_euclid(period);
    folded.min(period - folded) as usize
}

/// Slaney's mel scale (Auditory Toolbox): 3 mel per 200 Hz below 1 kHz, 27 logarithmic steps per factor 6.4 above.
const LINEAR_HZ_PER_MEL: f64 = 200.0 / 3.0;
const LOGARITHMIC_FROM_HZ: f64 = 1000.0;

fn mel_from_hz(hz: f64) -> f64 {
    if hz < LOGARITHMIC_FROM_HZ {
        hz / LINEAR_HZ_PER_MEL
    } else {
        LOGARITHMIC_FROM_HZ / LINEAR_HZ_PER_MEL + (hz / LOGARITHMIC_FROM_HZ).ln() * 27.0 / 6.4f64.ln()
    }
}

fn hz_from_mel(mel: f64) -> f64 {
    let from = LOGARITHMIC_FROM_HZ / LINEAR_HZ_PER_MEL;
    if mel < from { mel * LINEAR_HZ_PER_MEL } else { LOGARITHMIC_FROM_HZ * ((mel - from) * 6.4f64.ln() / 27.0).exp() }
}

/// Height of band `band`'s triangle of area 1 at `hz`, given the edges of all bands.
fn band_weight(edges_hz: &[f64], band: usize, hz: f64) -> f64 {
    let [low, centre, high] = [edges_hz[band], edges_hz[band + 1], edges_hz[band + 2]];
    let rising = (hz - low) / (centre - low);
    let falling = (high - hz) / (high - centre);
    rising.min(falling).max(0.0) * 2.0 / (high - low)
}

fn band_edges_hz(config: &MelConfig) -> Vec<f64> {
    let [low, high] = [mel_from_hz(config.f_min_hz), mel_from_hz(config.f_max_hz)];
    let step = (high - low) / (config.n_mels + 1) as f64;
    (0..config.n_mels + 2).map(|edge| hz_from_mel(low + step * edge as f64)).collect()
}

fn mel_bands(config: &MelConfig) -> Vec<Band> {
    let edges_hz = band_edges_hz(config);
    let hz_per_bin = f64::from(config.sample_rate) / config.n_fft as f64;
    let weight = |band, bin: usize| band_weight(&edges_hz, band, bin as f64 * hz_per_bin) as f32;
    (0..config.n_mels)
        .map(|band| {
            let bins = 0..config.n_fft / 2 + 1;
            let first_bin = bins.clone().find(|&bin| weight(band, bin) > 0.0).unwrap_or(0);
            let weights = (first_bin..bins.end).map(|bin| weight(band, bin)).take_while(|&w| w > 0.0).collect();
            Band { first_bin, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn chirp(n: usize) -> Vec<f32> {
        (0..n).map(|i| (0.3 * (i as f64 * 0.01 + (i as f64).powi(2) * 2e-5).sin()) as f32).collect()
    }

    /// The definition, term by term, in f64.
    fn mel_value(config: &MelConfig, pcm: &[f32], mel_frame: usize, band: usize) -> f64 {
        let edges = band_edges_hz(config);
        let n = config.n_fft;
        let start = (mel_frame * config.hop_length) as isize - ((n - config.hop_length) / 2) as isize;
        let mut sum = 0.0;
        for bin in 0..=n / 2 {
            let weight = band_weight(&edges, band, bin as f64 * f64::from(config.sample_rate) / n as f64);
            if weight == 0.0 {
                continue;
            }
            let (mut re, mut im) = (0.0, 0.0);
            for i in 0..n {
                let mut at = start + i as isize;
                if at < 0 {
                    at = -at;
                }
                if at >= pcm.len() as isize {
                    at = 2 * (pcm.len() as isize - 1) - at;
                }
                let hann = 0.5 - 0.5 * (2.0 * PI * i as f64 / n as f64).cos();
                let angle = 2.0 * PI * (bin * i) as f64 / n as f64;
                re += f64::from(pcm[at as usize]) * hann * angle.cos();
                im -= f64::from(pcm[at as usize]) * hann * angle.sin();
            }
            sum += weight * re.hypot(im);
        }
        sum.max(f64::from(config.floor)).ln()
    }

    #[test]
    fn equals_the_definition() {
        let config = MelConfig::default();
        let pcm = chirp(1850);
        let mel = MelExtractor::new(config.clone()).expect("default").extract(&pcm);
        assert_eq!(mel.len(), 6 * 80);
        for (mel_frame, band) in [(0, 0), (0, 7), (1, 20), (3, 40), (5, 3), (5, 79)] {
            let expected = mel_value(&config, &pcm, mel_frame, band);
            let got = f64::from(mel[mel_frame * 80 + band]);
            assert!((got - expected).abs() < 2e-3, "mel frame {mel_frame} band {band}: {got} for {expected}");
        }
    }

    /// 8 kHz is 15 + 27 ln 8 / ln 6.4 = 45.2454 mel, so 81 even steps are 0.558585 mel = 37.2390 Hz each, below 1 kHz.
    #[test]
    fn bands_have_area_one_and_even_spacing_below_1_khz() {
        let config =
            MelConfig { sample_rate: 22_050, n_fft: 1024, hop_length: 256, f_max_hz: 8000.0, ..MelConfig::default() };
        let edges = band_edges_hz(&config);
        assert!((edges[1] - 37.2390).abs() < 1e-3, "{}", edges[1]);
        assert!((edges[81] - 8000.0).abs() < 1e-6);
        // A triangle of area 1 in hertz.
        let area: f64 = (0..800_000).map(|i| band_weight(&edges, 40, f64::from(i) * 0.01) * 0.01).sum();
        assert!((area - 1.0).abs() < 1e-6, "{area}");
        assert!(mel_bands(&MelConfig::default()).iter().all(|band| !band.weights.is_empty()));
    }

    #[test]
    fn counts_mel_frames_and_survives_short_recordings() {
        let extractor = MelExtractor::new(MelConfig::default()).expect("default");
        for (n, mel_frames) in [(0, 0), (1, 0), (299, 0), (300, 1), (301, 1), (599, 1), (600, 2), (24_000, 80)] {
            let mel = extractor.extract(&chirp(n));
            assert_eq!(mel.len(), mel_frames * 80);
            assert!(mel.iter().all(|value| value.is_finite()));
        }
        assert!(extractor.extract(&[0.0; 900]).iter().all(|&value| value == 1e-5f32.ln()));
    }

    #[test]
    fn refuses_impossible_geometry() {
        for config in [
            MelConfig { hop_length: 0, ..MelConfig::default() },
            MelConfig { n_fft: 200, ..MelConfig::default() },
            MelConfig { f_max_hz: 13_000.0, ..MelConfig::default() },
            MelConfig { floor: 0.0, ..MelConfig::default() },
        ] {
            assert!(matches!(MelExtractor::new(config), Err(VocoderError::Config(_))));
        }
    }
}
