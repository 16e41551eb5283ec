//! The blocks that nets are made of: one file each, with its configuration, constructor and forward pass.

mod conv1d;
mod conv_next;
mod embedding;
mod initialiser;
mod layer_norm;
mod linear;
mod mask;

pub use conv_next::{ConvNextBlock, ConvNextConfig};
pub use conv1d::{Conv1d, Conv1dConfig};
pub use embedding::Embedding;
pub use initialiser::Initialiser;
pub use layer_norm::LayerNorm;
pub use linear::{Linear, LinearConfig};
pub use mask::{apply_mask, repeat_over_time};
