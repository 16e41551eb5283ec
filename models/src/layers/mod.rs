//! The blocks that nets are made of: one file each, with its configuration, constructor and forward pass.

mod attention;
mod batch_norm;
mod conv1d;
mod conv2d;
mod conv_next;
mod conv_transpose2d;
mod embedding;
mod feed_forward;
mod fft;
mod initialiser;
mod layer_norm;
mod linear;
mod lstm;
mod mask;
mod sinusoid;

pub use attention::SelfAttention;
pub use batch_norm::BatchNorm;
pub use conv_next::{ConvNextBlock, ConvNextConfig};
pub use conv_transpose2d::{ConvTranspose2d, ConvTranspose2dConfig};
pub use conv1d::{Conv1d, Conv1dConfig};
pub use conv2d::{Conv2d, Conv2dConfig};
pub use embedding::{Embedding, FeatureEmbedding};
pub use feed_forward::{Activation, FeedForward, FeedForwardConfig};
pub use fft::{FftBlock, FftConfig, FftStack};
pub use initialiser::Initialiser;
pub use layer_norm::LayerNorm;
pub use linear::{Linear, LinearConfig};
pub use lstm::{Lstm, LstmState};
pub use mask::{apply_mask, repeat_over_time};
pub use sinusoid::sinusoid;
