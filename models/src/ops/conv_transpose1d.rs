//! Transposed convolution along time: the gradient of a convolution, used to upsample.

use candle_core::Tensor;

use super::{Result, SequenceLayout, portable};

/// How [`conv_transpose1d`] spreads its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvTranspose1dOptions {
    /// Output steps between two inputs.
    pub stride: usize,
    /// Outputs cut off on each side.
    pub padding: usize,
    /// Outputs added at the end.
    pub output_padding: usize,
    /// Steps between two taps.
    pub dilation: usize,
    /// Channel groups.
    pub groups: usize,
    /// Axis order of input and output.
    pub layout: SequenceLayout,
}

impl Default for ConvTranspose1dOptions {
    fn default() -> Self {
        Self { stride: 1, padding: 0, output_padding: 0, dilation: 1, groups: 1, layout: SequenceLayout::TimeFirst }
    }
}

/// Transposed convolution along time: xs at t adds to ys at t stride + k dilation - padding.
///
/// # Shapes
/// xs (B, T, I) or (B, I, T) as `options.layout` says, weight (I, O/groups, K), bias (O) -> (B, T', O) or (B, O, T')
/// with T' = (T - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1
pub fn conv_transpose1d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &ConvTranspose1dOptions,
) -> Result<Tensor> {
    portable::conv_transpose1d(xs, weight, bias, options)
}
