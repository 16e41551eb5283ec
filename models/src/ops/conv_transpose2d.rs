//! Transposed convolution of images: the gradient of a convolution, used to upsample.

use candle_core::Tensor;

use super::{Result, portable};

/// How [`conv_transpose2d`] spreads its input; each pair is (vertical, horizontal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvTranspose2dOptions {
    /// Output pixels between two inputs.
    pub stride: [usize; 2],
    /// Outputs cut off on each side.
    pub padding: [usize; 2],
    /// Outputs added at the bottom and at the right.
    pub output_padding: [usize; 2],
}

impl Default for ConvTranspose2dOptions {
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], output_padding: [0, 0] }
    }
}

/// Transposed convolution of images: xs at (h, w) adds to ys at (h, w) stride + (i, j) - padding.
///
/// # Shapes
/// xs (B, I, H, W), weight (I, O, KH, KW), bias (O) -> (B, O, H', W')
/// with H' = (H - 1) stride - 2 padding + KH + output_padding, and W' likewise
pub fn conv_transpose2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &ConvTranspose2dOptions,
) -> Result<Tensor> {
    portable::conv_transpose2d(xs, weight, bias, options)
}
