//! Convolution (cross-correlation) along time.

use candle_core::Tensor;

use super::{Result, portable};

/// Axis order of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SequenceLayout {
    /// (B, T, C).
    #[default]
    TimeFirst,
    /// (B, C, T).
    ChannelsFirst,
}

/// How [`conv1d`] walks over its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv1dOptions {
    /// Steps between two outputs.
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
    /// Steps between two taps.
    pub dilation: usize,
    /// Channel groups; equal to the number of channels for a depthwise convolution.
    pub groups: usize,
    /// Axis order of input and output.
    pub layout: SequenceLayout,
}

impl Default for Conv1dOptions {
    fn default() -> Self {
        Self { stride: 1, padding: 0, dilation: 1, groups: 1, layout: SequenceLayout::TimeFirst }
    }
}

/// Convolution along time.
///
/// # Shapes
/// xs (B, T, I) or (B, I, T) as `options.layout` says, weight (O, I/groups, K), bias (O) -> (B, T', O) or (B, O, T')
/// with T' = (T + 2 padding - dilation (K - 1) - 1) / stride + 1
pub fn conv1d(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv1dOptions) -> Result<Tensor> {
    portable::conv1d(xs, weight, bias, options)
}
