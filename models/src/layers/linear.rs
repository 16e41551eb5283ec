//! A linear map of the last axis.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::Initialiser;
use crate::ops;

/// Sizes of a [`Linear`].
#[derive(Debug, Clone)]
pub struct LinearConfig {
    /// Width of the input.
    pub inputs: usize,
    /// Width of the output.
    pub outputs: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// First weights.
    pub initialiser: Initialiser,
}

impl LinearConfig {
    /// With a bias, and started as PyTorch does.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, bias: true, initialiser: Initialiser::default() }
    }

    /// The same without a bias.
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// The same with other first weights.
    pub fn start(self, initialiser: Initialiser) -> Self {
        Self { initialiser, ..self }
    }
}

/// y = x W^T + b.
#[derive(Debug, Clone)]
pub struct Linear {
    /// (outputs, inputs)
    pub(crate) weight: Tensor,
    /// (outputs)
    pub(crate) bias: Option<Tensor>,
}

impl Linear {
    /// Reads `weight` (outputs, inputs) and `bias` (outputs).
    pub fn new(cfg: &LinearConfig, vb: VarBuilder) -> Result<Self> {
        let init = cfg.initialiser;
        let weight = vb.get_with_hints((cfg.outputs, cfg.inputs), "weight", init.weight(cfg.inputs, cfg.outputs))?;
        let bias = match cfg.bias {
            true => Some(vb.get_with_hints(cfg.outputs, "bias", init.bias(cfg.inputs))?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    /// # Shapes
    /// - `xs`: (..., inputs)
    /// - output: (..., outputs)
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        ops::linear(xs, &self.weight, self.bias.as_ref())
    }
}
