//! A linear map of the last axis.

use std::sync::{Arc, OnceLock};

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
    fixed: Fixed,
}

/// An affine map that is laid out for its products at its first use, where nothing learns; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fixed(pub(super) Arc<OnceLock<ops::FixedLinear>>);

impl Fixed {
    /// Whether it can stand for a map of these parameters.
    pub(crate) fn serves(xs: &Tensor, parameters: [Option<&Tensor>; 2]) -> bool {
        ops::has_kernels(xs) && ![Some(xs), parameters[0], parameters[1]].into_iter().flatten().any(Tensor::track_op)
    }

    /// The map of `xs`, whose weight and bias are asked for once.
    pub(crate) fn forward(
        &self,
        xs: &Tensor,
        parameters: impl FnOnce() -> Result<(Tensor, Option<Tensor>)>,
    ) -> Result<Tensor> {
        if let Some(fixed) = self.0.get() {
            return fixed.forward(xs);
        }
        let (weight, bias) = parameters()?;
        match ops::FixedLinear::new(&weight, bias.as_ref())? {
            Some(fixed) => self.0.get_or_init(|| fixed).forward(xs),
            None => ops::linear(xs, &weight, bias.as_ref()),
        }
    }
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
        Ok(Self { weight, bias, fixed: Fixed::default() })
    }

    /// # Shapes
    /// - `xs`: (..., inputs)
    /// - output: (..., outputs)
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        if Fixed::serves(xs, [Some(&self.weight), self.bias.as_ref()]) {
            return self.fixed.forward(xs, || Ok((self.weight.clone(), self.bias.clone())));
        }
        ops::linear(xs, &self.weight, self.bias.as_ref())
    }
}
