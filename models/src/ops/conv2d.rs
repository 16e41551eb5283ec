//! Convolution (cross-correlation) of images.

use candle_core::{Shape, Tensor};

use super::affine::{Kernel, apply};
use super::cpu::has_kernels;
use super::planes::{Planes, channel_sums};
use super::portable::{convolved_length, group_channels};
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
    if !has_kernels(xs) {
        return portable::conv2d(xs, weight, bias, options);
    }
    let (batch, inputs, height, width) = xs.dims4()?;
    let (outputs, per_group, kh, kw) = weight.dims4()?;
    let Conv2dOptions { stride, padding, dilation, groups } = *options;
    group_channels("conv2d", inputs, outputs, per_group, groups)?;
    let (input, kernel) = ([height, width], [kh, kw]);
    let length = |i: usize| convolved_length(input[i], kernel[i], stride[i], padding[i], dilation[i]);
    let output = [length(0)?, length(1)?];
    let planes = Planes { batch, inputs, outputs, groups, input, kernel, stride, padding, dilation, output };
    apply(Conv2d { shape: (batch, outputs, output[0], output[1]).into(), planes }, xs, weight, bias)
}

/// The kernel of [`conv2d`], and of conv1d with the channels first.
pub(super) struct Conv2d {
    pub(super) planes: Planes,
    /// Shape of the result.
    pub(super) shape: Shape,
}

impl Kernel for Conv2d {
    const NAME: &'static str = "convolution";

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn channels(&self) -> usize {
        self.planes.outputs
    }

    fn forward(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        self.planes.convolve(xs, weight, bias)
    }

    fn input_gradient(&self, weight: &[f32], grads: &[f32]) -> Vec<f32> {
        self.planes.transpose(grads, weight, None)
    }

    fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32> {
        self.planes.weight_gradient(xs, grads)
    }

    fn bias_gradient(&self, grads: &[f32]) -> Vec<f32> {
        channel_sums(grads, self.planes.outputs, self.planes.output[0] * self.planes.output[1])
    }
}
