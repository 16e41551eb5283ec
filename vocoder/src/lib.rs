//! Mel spectrogram to PCM.
//!
//! | module | role |
//! |---|---|
//! | [`mel`] | the mel spectrogram: what the acoustic model predicts and every vocoder reads |
//! | [`features`] | [`Features`]: mel spectrogram and F0 of a stretch of speech |
//! | [`vocoder`] | the trait of all vocoders |
//! | [`f0`] | F0 of a recording |
//! | [`fourier`] | the default vocoder: pulse train and noise filtered in the Fourier domain |
//! | [`stft_loss`] | the loss that trains it |
//! | [`error`] | what can go wrong, by what the caller can do |

pub mod error;
pub mod f0;
pub mod features;
pub mod fourier;
pub mod mel;
mod stft;
pub mod stft_loss;
pub mod vocoder;

pub use error::{Result, VocoderError};
pub use features::Features;
pub use mel::{MelConfig, MelExtractor};
pub use vocoder::{Vocoder, VocoderStream};
