//! Transposed convolution along time: the gradient of a convolution, used to upsample.

use candle_core::{Shape, Tensor, bail};

use super::affine::{Kernel, apply};
use super::conv_transpose2d::ConvTranspose2d;
use super::conv1d::Geometry;
use super::conv1d_dense::Dense;
use super::cpu::{column_sums, has_kernels};
use super::planes::Planes;
use super::portable::transposed_length;
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
    if !has_kernels(xs) {
        return portable::conv_transpose1d(xs, weight, bias, options);
    }
    let (batch, length, inputs) = match options.layout {
        SequenceLayout::TimeFirst => xs.dims3()?,
        SequenceLayout::ChannelsFirst => xs.transpose(1, 2)?.dims3()?,
    };
    let (expected, per_out, kernel) = weight.dims3()?;
    let ConvTranspose1dOptions { stride, padding, output_padding, dilation, groups, layout } = *options;
    if groups == 0 || !inputs.is_multiple_of(groups) || inputs != expected || per_out == 0 {
        bail!("conv_transpose1d: xs {:?} does not fit weight {:?}, {groups} groups", xs.shape(), weight.shape())
    }
    let steps = transposed_length(length, kernel, stride, padding, output_padding, dilation)?;
    let outputs = per_out * groups;
    // The convolution that this is the transpose of leads from the result back to the input.
    if layout == SequenceLayout::ChannelsFirst {
        let planes = Planes {
            batch,
            inputs: outputs,
            outputs: inputs,
            groups,
            input: [1, steps],
            kernel: [1, kernel],
            stride: [1, stride],
            padding: [0, padding],
            dilation: [1, dilation],
            output: [1, length],
        };
        return apply(ConvTranspose2d { planes, shape: (batch, outputs, steps).into() }, xs, weight, bias);
    }
    let convolution = Dense(Geometry {
        batch,
        length: steps,
        inputs: outputs,
        outputs: inputs,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        steps: length,
    });
    apply(ConvTranspose1d { convolution }, xs, weight, bias)
}

/// The kernel for (B, T, C).
struct ConvTranspose1d {
    /// The convolution that this is the transpose of.
    convolution: Dense,
}

impl Kernel for ConvTranspose1d {
    const NAME: &'static str = "conv_transpose1d";

    fn shape(&self) -> Shape {
        let Geometry { batch, length, inputs, .. } = self.convolution.0;
        (batch, length, inputs).into()
    }

    fn channels(&self) -> usize {
        self.convolution.0.inputs
    }

    fn forward(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        self.convolution.transpose(xs, weight, bias)
    }

    fn input_gradient(&self, weight: &[f32], grads: &[f32]) -> Vec<f32> {
        self.convolution.forward(grads, weight, None)
    }

    fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32> {
        self.convolution.weight_gradient(grads, xs)
    }

    fn bias_gradient(&self, grads: &[f32]) -> Vec<f32> {
        column_sums(grads, self.convolution.0.inputs)
    }
}
