//! Convolution (cross-correlation) along time.

use candle_core::{Shape, Tensor};

use super::affine::apply;
use super::conv1d_dense::Dense;
use super::conv1d_depthwise::Depthwise;
use super::conv2d::Conv2d;
use super::cpu::has_kernels;
use super::planes::Planes;
use super::portable::{convolved_length, group_channels};
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
    if !has_kernels(xs) {
        return portable::conv1d(xs, weight, bias, options);
    }
    let (batch, length, inputs) = match options.layout {
        SequenceLayout::TimeFirst => xs.dims3()?,
        SequenceLayout::ChannelsFirst => xs.transpose(1, 2)?.dims3()?,
    };
    let (outputs, per_group, kernel) = weight.dims3()?;
    let Conv1dOptions { stride, padding, dilation, groups, .. } = *options;
    let (per_in, per_out) = group_channels("conv1d", inputs, outputs, per_group, groups)?;
    let steps = convolved_length(length, kernel, stride, padding, dilation)?;
    if options.layout == SequenceLayout::ChannelsFirst {
        let planes = Planes {
            batch,
            inputs,
            outputs,
            groups,
            input: [1, length],
            kernel: [1, kernel],
            stride: [1, stride],
            padding: [0, padding],
            dilation: [1, dilation],
            output: [1, steps],
        };
        return apply(Conv2d { planes, shape: (batch, outputs, steps).into() }, xs, weight, bias);
    }
    let geometry = Geometry { batch, length, inputs, outputs, kernel, stride, padding, dilation, groups, steps };
    match (per_in, per_out) {
        (1, 1) => apply(Depthwise(geometry), xs, weight, bias),
        _ => apply(Dense(geometry), xs, weight, bias),
    }
}

/// Sizes of a convolution of (B, T, C).
#[derive(Clone)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    /// Steps of the input.
    pub(super) length: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
    pub(super) groups: usize,
    /// Steps of the output.
    pub(super) steps: usize,
}

impl Geometry {
    /// Shape of the output.
    pub(super) fn shape(&self) -> Shape {
        (self.batch, self.steps, self.outputs).into()
    }
}
