//! What every vocoder offers: PCM from features, whole or as a stream.

use crate::error::Result;
use crate::features::Features;
use crate::mel::MelConfig;

/// Mel spectrogram and F0 to PCM. Weights are shared and never change; what belongs to one utterance lives in its
/// stream, so one vocoder serves many at once.
///
/// # For implementers
/// T mel frames must give exactly `hop_length` T pcm samples, and the pcm samples of a stream must equal those of
/// [`Vocoder::synthesise`] bit for bit, however the mel frames are cut into pushes and on any number of threads. The way
/// to that: compute blocks at fixed absolute places with fixed context, and make all randomness a function of seed and
/// place.
pub trait Vocoder: Send + Sync {
    /// The mel spectrogram that it reads.
    fn mel_config(&self) -> &MelConfig;

    /// Starts a stream; equal seeds and features give equal PCM.
    fn stream(&self, seed: u64) -> Box<dyn VocoderStream + Send + '_>;

    /// The PCM of all of `features`: what a stream gives.
    ///
    /// # Errors
    /// As [`VocoderStream::push`].
    fn synthesise(&self, features: &Features, seed: u64) -> Result<Vec<f32>> {
        let mut stream = self.stream(seed);
        let mut pcm = stream.push(features)?;
        pcm.extend(stream.finish()?);
        Ok(pcm)
    }
}

/// One utterance on its way through a vocoder.
pub trait VocoderStream {
    /// Takes the next mel frames, any number, and returns the next pcm samples, as many as are certain by now: often
    /// none, as a vocoder looks ahead.
    ///
    /// # Errors
    /// [`crate::VocoderError::Input`] if the features do not fit the vocoder or come after the end; nothing is taken
    /// then. [`crate::VocoderError::Tensor`] if the net fails; the stream is of no use after it.
    fn push(&mut self, features: &Features) -> Result<Vec<f32>>;

    /// Ends the utterance and returns its last pcm samples; none the second time.
    ///
    /// # Errors
    /// [`crate::VocoderError::Tensor`] if the net fails.
    fn finish(&mut self) -> Result<Vec<f32>>;
}
