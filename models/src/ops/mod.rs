//! Tensor operations that the nets and the vocoder are made of, each with a checked gradient.
//!
//! candle 0.11.1 trains some operations wrongly on the CPU (conv1d with a batch above 1), some not at all (LayerNorm,
//! softmax_last_dim, conv_transpose1d) and most convolutions slowly. Every operation here is one node of candle's
//! graph on the CPU, with its own kernel forward and backward; on any other device it is a composition of candle
//! operations whose gradients are right ([`portable`]). Both give the same result up to rounding.
//!
//! Work is cut into tiles whose size depends on the shapes alone and sums run in a fixed order, so that a result does
//! not depend on the number of threads.
//!
//! All operations take f32 tensors of any strides. Sequences are (B, T, C) unless an option says otherwise, images
//! (B, C, H, W).

pub mod approx;
pub mod portable;

mod activation;
mod affine;
mod batch_norm;
mod conv1d;
mod conv1d_dense;
mod conv1d_depthwise;
mod conv2d;
mod conv_transpose1d;
mod conv_transpose2d;
mod cpu;
mod gemm;
mod given_gradient;
mod layer_norm;
mod linear;
mod memory;
mod pixel_shuffle;
mod planes;
mod softmax;
mod sub_pixel_chain;
mod unfold;

pub use activation::{gelu, leaky_relu, relu, sigmoid, silu, tanh};
pub use batch_norm::{batch_norm_eval, batch_norm_train};
pub use conv_transpose1d::{ConvTranspose1dOptions, conv_transpose1d};
pub use conv_transpose2d::{ConvTranspose2dOptions, conv_transpose2d};
pub use conv1d::{Conv1dOptions, SequenceLayout, conv1d};
pub use conv1d_dense::FixedConv1d;
pub use conv2d::{Conv2dOptions, conv2d};
pub use cpu::{compose_on_this_thread, has_kernels};
pub use layer_norm::layer_norm;
pub use linear::{FixedLinear, linear};
pub use memory::keep_freed_memory;
pub use pixel_shuffle::pixel_shuffle;
pub use softmax::softmax_last;
pub use sub_pixel_chain::{SubPixelChain, SubPixelConstants};

/// candle's result: every error of an operation says which shapes do not fit.
pub type Result<T> = candle_core::Result<T>;

#[cfg(test)]
mod tests;
