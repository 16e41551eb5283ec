//! A convolution over images.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::Initialiser;
use crate::ops::{self, Conv2dOptions};

/// Sizes of a [`Conv2d`].
#[derive(Debug, Clone)]
pub struct Conv2dConfig {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Taps in each direction.
    pub kernel: usize,
    /// Pixels between two outputs, down and across.
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: usize,
}

impl Conv2dConfig {
    /// Stride 1 with zeros around, so that the output is as large as the input; `kernel` is odd.
    pub fn same(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self { inputs, outputs, kernel, stride: [1, 1], padding: kernel / 2 }
    }
}

/// A convolution with bias.
#[derive(Debug, Clone)]
pub struct Conv2d {
    /// (outputs, inputs, kernel, kernel)
    pub(crate) weight: Tensor,
    /// (outputs)
    pub(crate) bias: Tensor,
    pub(crate) options: Conv2dOptions,
}

impl Conv2d {
    /// Reads `weight` (outputs, inputs, kernel, kernel) and `bias` (outputs).
    pub fn new(cfg: &Conv2dConfig, vb: VarBuilder) -> Result<Self> {
        let taps = cfg.kernel * cfg.kernel;
        let init = Initialiser::FanIn;
        let shape = (cfg.outputs, cfg.inputs, cfg.kernel, cfg.kernel);
        let weight = vb.get_with_hints(shape, "weight", init.weight(cfg.inputs * taps, cfg.outputs * taps))?;
        let bias = vb.get_with_hints(cfg.outputs, "bias", init.bias(cfg.inputs * taps))?;
        let options = Conv2dOptions { stride: cfg.stride, padding: [cfg.padding; 2], ..Default::default() };
        Ok(Self { weight, bias, options })
    }

    /// # Shapes
    /// - `xs`: (B, inputs, H, W)
    /// - output: (B, outputs, (H + 2 padding - kernel) / stride + 1, the same of W)
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        ops::conv2d(xs, &self.weight, Some(&self.bias), &self.options)
    }
}
