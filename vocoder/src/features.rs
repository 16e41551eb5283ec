//! What a vocoder reads: the mel spectrogram and F0 of a stretch of speech.

use std::ops::Range;

use crate::error::{Result, VocoderError};

/// Mel spectrogram and F0 of T consecutive mel frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Mel bands of one mel frame.
    pub n_mels: usize,
    /// Natural logarithms of the mel band magnitudes, (T, n_mels), mel frame by mel frame.
    pub mel: Vec<f32>,
    /// F0 in hertz of each mel frame, (T); 0 where unvoiced.
    pub f0_hz: Vec<f32>,
}

impl Features {
    /// No mel frames of `n_mels` bands.
    pub fn empty(n_mels: usize) -> Self {
        Self { n_mels, mel: Vec::new(), f0_hz: Vec::new() }
    }

    /// Checked construction.
    ///
    /// # Errors
    /// [`VocoderError::Input`] if `mel` is not `f0_hz.len()` times `n_mels` long, or if a value is not finite or an F0
    /// is negative.
    pub fn new(n_mels: usize, mel: Vec<f32>, f0_hz: Vec<f32>) -> Result<Self> {
        let features = Self { n_mels, mel, f0_hz };
        features.check()?;
        Ok(features)
    }

    /// Mel frames held.
    pub fn mel_frames(&self) -> usize {
        self.f0_hz.len()
    }

    /// True if there is no mel frame.
    pub fn is_empty(&self) -> bool {
        self.f0_hz.is_empty()
    }

    /// A copy of a range of mel frames; the range is cut to what is there.
    pub fn slice(&self, mel_frames: Range<usize>) -> Self {
        let end = mel_frames.end.min(self.mel_frames());
        let start = mel_frames.start.min(end);
        Self {
            n_mels: self.n_mels,
            mel: self.mel[start * self.n_mels..end * self.n_mels].to_vec(),
            f0_hz: self.f0_hz[start..end].to_vec(),
        }
    }

    /// Appends the mel frames of `more`.
    ///
    /// # Errors
    /// [`VocoderError::Input`] if the numbers of mel bands differ.
    pub fn append(&mut self, more: &Features) -> Result<()> {
        if more.n_mels != self.n_mels {
            return Err(VocoderError::input(format!(
                "features have {} mel bands where {} are expected",
                more.n_mels, self.n_mels
            )));
        }
        self.mel.extend_from_slice(&more.mel);
        self.f0_hz.extend_from_slice(&more.f0_hz);
        Ok(())
    }

    /// Says whether sizes agree and all values are usable.
    ///
    /// # Errors
    /// [`VocoderError::Input`] naming the first fault.
    pub fn check(&self) -> Result<()> {
        if self.mel.len() != self.f0_hz.len() * self.n_mels {
            return Err(VocoderError::input(format!(
                "{} mel values are not {} mel frames of {} bands",
                self.mel.len(),
                self.f0_hz.len(),
                self.n_mels
            )));
        }
        if let Some(at) = self.mel.iter().position(|value| !value.is_finite()) {
            return Err(VocoderError::input(format!("mel value of mel frame {} is not finite", at / self.n_mels)));
        }
        if let Some(at) = self.f0_hz.iter().position(|f0| !f0.is_finite() || *f0 < 0.0) {
            return Err(VocoderError::input(format!("F0 of mel frame {at} is not a frequency or 0")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_appends_whole_mel_frames() {
        let all = Features::new(2, (0..10).map(|v| v as f32).collect(), vec![0.0, 1.0, 2.0, 3.0, 4.0]).expect("sizes");
        let mut glued = all.slice(0..2);
        glued.append(&all.slice(2..99)).expect("same bands");
        assert_eq!(glued, all);
        assert_eq!(all.slice(1..3).mel, [2.0, 3.0, 4.0, 5.0]);
        assert!(glued.append(&Features::empty(3)).is_err());
    }

    #[test]
    fn refuses_sizes_and_values_that_cannot_be() {
        assert!(Features::new(2, vec![0.0; 3], vec![0.0; 2]).is_err());
        assert!(Features::new(1, vec![f32::NAN], vec![0.0]).is_err());
        assert!(Features::new(1, vec![0.0], vec![-1.0]).is_err());
        assert!(Features::new(1, vec![0.0], vec![f32::INFINITY]).is_err());
    }
}
