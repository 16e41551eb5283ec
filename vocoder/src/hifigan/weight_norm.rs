//! Weight normalisation (Salimans, Kingma 2016): a weight as direction `weight_v` times length `weight_g`, one length
//! for each index of the first axis, as PyTorch's `weight_norm` has it by default.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// A weight, kept as direction and length or folded into one tensor.
#[derive(Debug, Clone)]
pub(crate) enum NormedWeight {
    /// (A, 1, 1) and (A, B, K): both get gradients.
    Live { length: Tensor, direction: Tensor },
    /// (A, B, K)
    Folded(Tensor),
}

impl NormedWeight {
    /// Reads `weight_g` and `weight_v`, or `weight` where a checkpoint has it folded. Fresh weights are normal with
    /// standard deviation `spread`.
    pub(crate) fn new(shape: (usize, usize, usize), spread: f64, vb: &VarBuilder) -> Result<Self> {
        if vb.contains_tensor("weight") {
            return Ok(Self::Folded(vb.get(shape, "weight")?));
        }
        let direction = vb.get_with_hints(shape, "weight_v", Init::Randn { mean: 0.0, stdev: spread })?;
        // The length that leaves fresh weights as they are drawn, up to the chance in their norm.
        let length = spread * ((shape.1 * shape.2) as f64).sqrt();
        let length = vb.get_with_hints((shape.0, 1, 1), "weight_g", Init::Const(length))?;
        Ok(Self::Live { length, direction })
    }

    /// The weight itself, (A, B, K).
    pub(crate) fn weight(&self) -> Result<Tensor> {
        match self {
            Self::Live { length, direction } => {
                let norm = direction.sqr()?.sum_keepdim((1, 2))?.sqrt()?;
                direction.broadcast_mul(&length.div(&norm)?)
            }
            Self::Folded(weight) => Ok(weight.clone()),
        }
    }

    /// The same weight as one tensor, without gradient.
    pub(crate) fn folded(&self) -> Result<Self> {
        Ok(Self::Folded(self.weight()?.detach()))
    }
}
