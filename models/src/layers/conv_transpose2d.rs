//! A transposed convolution that doubles the size of an image.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::Initialiser;
use crate::ops::{self, ConvTranspose2dOptions};

/// Sizes of a [`ConvTranspose2d`] of stride 2.
#[derive(Debug, Clone)]
pub struct ConvTranspose2dConfig {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Taps in each direction; odd.
    pub kernel: usize,
}

/// A transposed convolution with bias.
#[derive(Debug, Clone)]
pub struct ConvTranspose2d {
    /// (inputs, outputs, kernel, kernel)
    pub(crate) weight: Tensor,
    /// (outputs)
    pub(crate) bias: Tensor,
    pub(crate) options: ConvTranspose2dOptions,
}

impl ConvTranspose2d {
    /// Reads `weight` (inputs, outputs, kernel, kernel) and `bias` (outputs).
    pub fn new(cfg: &ConvTranspose2dConfig, vb: VarBuilder) -> Result<Self> {
        // PyTorch counts the fan-in of a transposed convolution over the weight's second axis, its outputs.
        let fan_in = cfg.outputs * cfg.kernel * cfg.kernel;
        let init = Initialiser::FanIn;
        let shape = (cfg.inputs, cfg.outputs, cfg.kernel, cfg.kernel);
        let weight = vb.get_with_hints(shape, "weight", init.weight(fan_in, fan_in))?;
        let bias = vb.get_with_hints(cfg.outputs, "bias", init.bias(fan_in))?;
        let padding = [cfg.kernel / 2; 2];
        let options = ConvTranspose2dOptions { stride: [2, 2], padding, output_padding: [1, 1] };
        Ok(Self { weight, bias, options })
    }

    /// # Shapes
    /// - `xs`: (B, inputs, H, W)
    /// - output: (B, outputs, 2 H, 2 W)
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        ops::conv_transpose2d(xs, &self.weight, Some(&self.bias), &self.options)
    }
}
