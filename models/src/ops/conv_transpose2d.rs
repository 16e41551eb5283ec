//! Transposed convolution of images: the gradient of a convolution, used to upsample.

use candle_core::{Shape, Tensor, bail};

use super::affine::{Kernel, apply};
use super::cpu::has_kernels;
use super::planes::{Planes, channel_sums};
use super::portable::transposed_length;
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
    if !has_kernels(xs) {
        return portable::conv_transpose2d(xs, weight, bias, options);
    }
    let (batch, inputs, height, width) = xs.dims4()?;
    let (expected, outputs, kh, kw) = weight.dims4()?;
    if inputs != expected {
        bail!("conv_transpose2d: xs {:?} does not fit weight {:?}", xs.shape(), weight.shape())
    }
    let ConvTranspose2dOptions { stride, padding, output_padding } = *options;
    let (from, kernel) = ([height, width], [kh, kw]);
    let length = |i: usize| transposed_length(from[i], kernel[i], stride[i], padding[i], output_padding[i], 1);
    let to = [length(0)?, length(1)?];
    // The convolution that this is the transpose of leads from the result back to the input.
    let planes = Planes {
        batch,
        inputs: outputs,
        outputs: inputs,
        groups: 1,
        input: to,
        kernel,
        stride,
        padding,
        dilation: [1, 1],
        output: from,
    };
    apply(ConvTranspose2d { shape: (batch, outputs, to[0], to[1]).into(), planes }, xs, weight, bias)
}

/// The kernel of [`conv_transpose2d`], and of conv_transpose1d with the channels first.
pub(super) struct ConvTranspose2d {
    /// The convolution that this is the transpose of.
    pub(super) planes: Planes,
    /// Shape of the result.
    pub(super) shape: Shape,
}

impl Kernel for ConvTranspose2d {
    const NAME: &'static str = "transposed convolution";

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn channels(&self) -> usize {
        self.planes.inputs
    }

    fn forward(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        self.planes.transpose(xs, weight, bias)
    }

    fn input_gradient(&self, weight: &[f32], grads: &[f32]) -> Vec<f32> {
        self.planes.convolve(grads, weight, None)
    }

    fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32> {
        self.planes.weight_gradient(grads, xs)
    }

    fn bias_gradient(&self, grads: &[f32]) -> Vec<f32> {
        channel_sums(grads, self.planes.inputs, self.planes.input[0] * self.planes.input[1])
    }
}
