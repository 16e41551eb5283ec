//! HiFi-GAN's generator (Kong, Kim, Bae 2020, "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity
//! Speech Synthesis"): mel frames upsampled by transposed convolutions, each followed by residual blocks of several
//! receptive fields. Reads the published checkpoints and their JSON as they are.
//!
//! | file | role |
//! |---|---|
//! | `config` | sizes; the published JSON |
//! | `weight_norm` | convolutions with weight normalisation, trainable or folded |
//! | `generator` | the net, trainable |
//! | `checkpoint` | names of the published tensors; reading files |
//! | `legacy` | PyTorch files of the old form |
//! | `vocoder` | synthesis in blocks, whole or streamed |
//!
//! Sequences are (B, C, T) here, as published.

mod checkpoint;
mod config;
mod generator;
mod legacy;
#[cfg(test)]
mod pickle_tests;
#[cfg(test)]
mod tests;
mod vocoder;
mod weight_norm;

pub use checkpoint::{read_checkpoint, tensor_shapes};
pub use config::{HifiGanConfig, ResBlockKind};
pub use generator::Generator;
pub use vocoder::HifiGanVocoder;
