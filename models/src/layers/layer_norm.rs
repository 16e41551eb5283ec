//! Layer normalisation (Ba, Kiros, Hinton 2016) of the last axis.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::ops;

/// Each position's channels brought to mean 0 and variance 1, then scaled and shifted per channel.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Reads `weight` and `bias`, each (channels); `eps` is added to the variance.
    pub fn new(channels: usize, eps: f64, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints(channels, "weight", Init::Const(1.))?;
        let bias = vb.get_with_hints(channels, "bias", Init::Const(0.))?;
        Ok(Self { weight, bias, eps })
    }

    /// # Shapes
    /// - `xs`: (..., channels); output the same.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        ops::layer_norm(xs, &self.weight, &self.bias, self.eps)
    }
}
