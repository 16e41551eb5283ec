//! Sizes of the Fourier vocoder.

use serde::{Deserialize, Serialize};

use crate::error::{Result, VocoderError};
use crate::mel::MelConfig;

/// Sizes of the Fourier vocoder; the default has 3.3 M parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FourierConfig {
    /// The mel spectrogram that it reads; its geometry is that of the synthesis too.
    pub mel: MelConfig,
    /// Channels of the net. Default 256.
    pub width: usize,
    /// Number of ConvNeXt-like blocks. Default 6.
    pub blocks: usize,
    /// Taps of the convolutions, in mel frames; odd. Default 7.
    pub kernel: usize,
    /// Width inside a block over `width`. Default 3.
    pub factor: usize,
    /// No harmonic of the pulse train lies above this, in hertz. Default 11000.
    pub harmonic_limit_hz: f64,
    /// Whether a third source joins, whose phase is free: spectra that the net alone makes, for what in a voice follows
    /// neither the pulses nor chance. Default true; a file that does not say has none.
    #[serde(default)]
    pub free_phase: bool,
}

impl Default for FourierConfig {
    fn default() -> Self {
        Self {
            mel: MelConfig::default(),
            width: 256,
            blocks: 6,
            kernel: 7,
            factor: 3,
            harmonic_limit_hz: 11_000.0,
            free_phase: true,
        }
    }
}

impl FourierConfig {
    /// Fourier bins of a mel frame.
    pub fn bins(&self) -> usize {
        self.mel.n_fft / 2 + 1
    }

    /// Values of the net's head for a bin: two for the harmonics, one for the noise, two for the source of free phase.
    pub fn parts(&self) -> usize {
        if self.free_phase { 5 } else { 3 }
    }

    /// Mel frames on each side that the net's output for a mel frame depends on.
    pub fn net_context(&self) -> usize {
        (self.blocks + 1) * (self.kernel / 2)
    }

    /// Mel frames on each side whose windows reach into the pcm samples of a mel frame.
    pub(crate) fn overlap(&self) -> usize {
        (self.mel.n_fft - self.mel.hop_length).div_ceil(2 * self.mel.hop_length)
    }

    /// Says whether the sizes make sense.
    ///
    /// # Errors
    /// [`VocoderError::Config`] naming the fault.
    pub fn check(&self) -> Result<()> {
        self.mel.check()?;
        let fault = if self.width == 0 || self.factor == 0 {
            "width and factor must be at least 1"
        } else if self.kernel.is_multiple_of(2) {
            "kernel must be odd"
        } else if self.mel.n_fft < 2 * self.mel.hop_length {
            // Hann windows that do not overlap leave pcm samples with weight 0.
            "n_fft must be at least twice hop_length"
        } else if !(0.0 < self.harmonic_limit_hz && self.harmonic_limit_hz <= f64::from(self.mel.sample_rate) / 2.0) {
            "0 < harmonic_limit_hz <= sample_rate / 2 must hold"
        } else {
            return Ok(());
        };
        Err(VocoderError::config(fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_context() {
        let config = FourierConfig::default();
        assert_eq!((config.bins(), config.net_context(), config.overlap()), (601, 21, 2));
        assert!(config.check().is_ok());
    }

    #[test]
    fn refuses_unknown_fields_and_impossible_sizes() {
        assert!(serde_json::from_str::<FourierConfig>(r#"{"width": 128}"#).is_ok());
        assert!(serde_json::from_str::<FourierConfig>(r#"{"widht": 128}"#).is_err());
        let even = FourierConfig { kernel: 6, ..FourierConfig::default() };
        let wide = FourierConfig { harmonic_limit_hz: 13_000.0, ..FourierConfig::default() };
        assert!(even.check().is_err() && wide.check().is_err());
    }
}
