//! Convolution (cross-correlation) of images.

use candle_core::Tensor;

use super::{Result, portable};

/// How [`conv2d`] walks over its input; each pair is (vertical, horizontal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Pixels between two outputs.
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: [usize; 2],
    /// Pixels between two taps.
    pub dilation: [usize; 2],
    /// Channel groups.
    pub groups: usize,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 }
    }
}

/// Convolution of images.
///
/// # Shapes
/// xs (B, I, H, W), weight (O, I/groups, KH, KW), bias (O) -> (B, O, H', W')
/// with H' = (H + 2 padding - dilation (KH - 1) - 1) / stride + 1, and W' likewise
pub fn conv2d(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv2dOptions) -> Result<Tensor> {
    portable::conv2d(xs, weight, bias, options)
}
