//! Nets, losses and CPU kernels of Paravox.
//!
//! | module | role |
//! |---|---|
//! | [`ops`] | tensor operations with fast CPU kernels and right gradients |
//! | [`layers`] | the blocks that nets are made of |
//! | [`text_encoder`], [`duration_predictor`], [`length_regulator`] | symbols to states, and states to a time grid: shared by voice and lips |
//! | [`pitch_decoder`], [`mel_decoder`] | states to F0 and voicing, and to mel |
//! | [`identity_encoder`], [`motion_decoder`], [`image_decoder`] | states and an image of a person to images of lips |
//! | [`aligner`] | mel to the phoneme of each mel frame |
//! | [`landmark_net`] | a lip crop to the points of the mouth |
//! | [`lip_reader`] | lips to the phonemes that they show |
//! | [`config`] | what a model is made of, as strict TOML; the presets |
//! | [`model`] | the nets of a voice and of the lips, bundled |
//! | [`references`] | the autoregressive systems that ParaLip is compared with |
//! | [`losses`], [`discriminator`] | what they are trained on |
//! | [`params`], [`mode`] | variables and randomness of training |
//! | [`weights`] | shipped weights |
//!
//! Sequences are (B, T, C), images (B, C, H, W), all f32.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod aligner;
pub mod config;
pub mod discriminator;
pub mod duration_predictor;
pub mod identity_encoder;
pub mod image_decoder;
pub mod landmark_net;
pub mod layers;
pub mod length_regulator;
pub mod lip_reader;
pub mod losses;
pub mod mel_decoder;
pub mod mode;
pub mod model;
pub mod motion_decoder;
pub mod ops;
pub mod params;
pub mod pitch_decoder;
pub mod references;
pub mod sharpen_mel;
pub mod summary;
pub mod text_encoder;
pub mod weights;

#[cfg(test)]
mod checks;
