//! A convolution over time of "time first" sequences.

use std::sync::{Arc, OnceLock};

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::Initialiser;
use super::linear::Fixed;
use crate::ops::{self, Conv1dOptions};

/// Sizes of a [`Conv1d`] whose output is as long as its input.
#[derive(Debug, Clone)]
pub struct Conv1dConfig {
    /// Width of the input.
    pub inputs: usize,
    /// Width of the output.
    pub outputs: usize,
    /// Taps; odd, so that the output stays centred.
    pub kernel: usize,
    /// Channel groups; equal to `inputs` for a depthwise convolution.
    pub groups: usize,
    /// First weights.
    pub initialiser: Initialiser,
}

impl Conv1dConfig {
    /// A dense convolution, started as PyTorch does.
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self { inputs, outputs, kernel, groups: 1, initialiser: Initialiser::default() }
    }

    /// One filter for each channel.
    pub fn depthwise(channels: usize, kernel: usize) -> Self {
        Self { groups: channels, ..Self::new(channels, channels, kernel) }
    }

    /// The same with other first weights.
    pub fn start(self, initialiser: Initialiser) -> Self {
        Self { initialiser, ..self }
    }
}

/// A convolution over time with bias; zeros stand for what lies beyond the ends.
#[derive(Debug, Clone)]
pub struct Conv1d {
    weight: Tensor,
    bias: Tensor,
    options: Conv1dOptions,
    /// Laid out for its products at its first use where nothing learns; clones share it.
    fixed: Arc<OnceLock<ops::FixedConv1d>>,
}

impl Conv1d {
    /// Reads `weight` (outputs, inputs / groups, kernel) and `bias` (outputs).
    ///
    /// # Errors
    /// An even kernel.
    pub fn new(cfg: &Conv1dConfig, vb: VarBuilder) -> Result<Self> {
        if cfg.kernel.is_multiple_of(2) {
            candle_core::bail!("a convolution over time needs an odd kernel, not {}", cfg.kernel);
        }
        let fan_in = cfg.inputs / cfg.groups * cfg.kernel;
        let fan_out = cfg.outputs / cfg.groups * cfg.kernel;
        let shape = (cfg.outputs, cfg.inputs / cfg.groups, cfg.kernel);
        let weight = vb.get_with_hints(shape, "weight", cfg.initialiser.weight(fan_in, fan_out))?;
        let bias = vb.get_with_hints(cfg.outputs, "bias", cfg.initialiser.bias(fan_in))?;
        let options = Conv1dOptions { padding: cfg.kernel / 2, groups: cfg.groups, ..Default::default() };
        Ok(Self { weight, bias, options, fixed: Arc::default() })
    }

    /// # Shapes
    /// - `xs`: (B, T, inputs)
    /// - output: (B, T, outputs)
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        self.padded(xs, self.options.padding)
    }

    /// The same without zeros beyond the ends, for inputs that bring what lies there.
    ///
    /// # Shapes
    /// - `xs`: (B, T + kernel - 1, inputs)
    /// - output: (B, T, outputs)
    pub fn forward_inside(&self, xs: &Tensor) -> Result<Tensor> {
        self.padded(xs, 0)
    }

    fn padded(&self, xs: &Tensor, padding: usize) -> Result<Tensor> {
        if self.options.groups == 1 && Fixed::serves(xs, [Some(&self.weight), Some(&self.bias)]) {
            if let Some(fixed) = self.fixed.get() {
                return fixed.forward(xs, padding);
            }
            if let Some(fixed) = ops::FixedConv1d::new(&self.weight, &self.bias)? {
                return self.fixed.get_or_init(|| fixed).forward(xs, padding);
            }
        }
        ops::conv1d(xs, &self.weight, Some(&self.bias), &Conv1dOptions { padding, ..self.options.clone() })
    }
}
