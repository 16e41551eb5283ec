//! Mel spectrogram to PCM.
//!
//! | module | role |
//! |---|---|
//! | [`mel`] | the mel spectrogram: what the acoustic model predicts and every vocoder reads |
//! | [`features`] | [`Features`]: mel spectrogram and F0 of a stretch of speech |
//! | [`vocoder`] | the trait of all vocoders |
//! | [`f0`], [`harmonics`] | F0 of a recording, and what repeats with it |
//! | [`fourier`] | the default vocoder: pulse train and noise filtered in the Fourier domain |
//! | [`hifigan`] | HiFi-GAN's generator, with the published checkpoints |
//! | [`stft_loss`] | the loss that trains it |
//! | [`discriminator`] | the adversary that may join |
//! | [`error`] | what can go wrong, by what the caller can do |

mod blocks;
pub mod discriminator;
pub mod error;
pub mod f0;
pub mod features;
pub mod fourier;
pub mod harmonics;
pub mod hifigan;
pub mod mel;
mod stft;
pub mod stft_loss;
pub mod vocoder;

pub use error::{Result, VocoderError};
pub use features::Features;
pub use mel::{MelConfig, MelExtractor};
pub use vocoder::{Vocoder, VocoderStream};

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
