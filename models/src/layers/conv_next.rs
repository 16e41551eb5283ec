//! The ConvNeXt block over time: "A ConvNet for the 2020s" (Liu et al. 2022), as Vocos (Siuzdak 2024) uses it in one
//! dimension.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::linear::Fixed;
use super::{Conv1d, Conv1dConfig, LayerNorm, Linear, LinearConfig, apply_mask};
use crate::mode::{Mode, dropout};
use crate::ops;

/// What a learned gate starts at: small, so that a deep stack starts near the identity.
const FIRST_GATE: f64 = 0.2;
const EPS: f64 = 1e-6;

/// Sizes of a stack of [`ConvNextBlock`]s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNextConfig {
    /// Number of blocks.
    pub blocks: usize,
    /// Taps of the depthwise convolution; odd.
    pub kernel: usize,
    /// Width inside a block over its width outside.
    pub factor: usize,
    /// Probability that a channel of a block's output is dropped in training.
    pub dropout: f64,
}

impl ConvNextConfig {
    /// Positions on each side that an output of the stack depends on.
    pub fn context(&self) -> usize {
        self.blocks * (self.kernel / 2)
    }

    /// Builds the stack; the blocks are named 0, 1, ...
    pub(crate) fn build(&self, channels: usize, vb: VarBuilder) -> Result<Vec<ConvNextBlock>> {
        (0..self.blocks).map(|i| ConvNextBlock::new(channels, self, vb.pp(i))).collect()
    }
}

/// x + gate * linear(GELU(linear(LayerNorm(depthwise convolution(x))))).
#[derive(Debug, Clone)]
pub struct ConvNextBlock {
    depthwise: Conv1d,
    norm: LayerNorm,
    expand: Linear,
    project: Linear,
    /// (channels)
    gate: Tensor,
    /// `project` times `gate`.
    gated: Fixed,
    dropout: f64,
}

impl ConvNextBlock {
    /// Reads `depthwise`, `norm`, `expand`, `project` and `gate` (channels).
    pub fn new(channels: usize, cfg: &ConvNextConfig, vb: VarBuilder) -> Result<Self> {
        let inner = channels * cfg.factor;
        Ok(Self {
            depthwise: Conv1d::new(&Conv1dConfig::depthwise(channels, cfg.kernel), vb.pp("depthwise"))?,
            norm: LayerNorm::new(channels, EPS, vb.pp("norm"))?,
            expand: Linear::new(&LinearConfig::new(channels, inner), vb.pp("expand"))?,
            project: Linear::new(&LinearConfig::new(inner, channels), vb.pp("project"))?,
            gate: vb.get_with_hints(channels, "gate", Init::Const(FIRST_GATE))?,
            gated: Fixed::default(),
            dropout: cfg.dropout,
        })
    }

    /// Padded positions are zeroed before the convolution, so that they count as what lies beyond the end.
    ///
    /// # Shapes
    /// - `xs`: (B, T, channels); output the same, undefined at padded positions
    /// - `mask`: (B, T), see [`apply_mask`]
    pub fn forward(&self, xs: &Tensor, mask: Option<&Tensor>, mode: &Mode) -> Result<Tensor> {
        let inner = self.norm.forward(&self.depthwise.forward(&apply_mask(xs, mask)?)?)?;
        let inner = ops::gelu(&self.expand.forward(&inner)?)?;
        let gated = match Fixed::serves(&inner, [Some(&self.project.weight), Some(&self.gate)]) {
            true => self.gated.forward(&inner, || self.gated_projection())?,
            false => {
                let (weight, bias) = self.gated_projection()?;
                ops::linear(&inner, &weight, bias.as_ref())?
            }
        };
        xs + dropout(&gated, self.dropout, mode)?
    }

    /// The gate acts on the weights, not on the output: the same map, and its gradient is a sum over a matrix's rows instead
    /// of a strided sum over the whole batch.
    fn gated_projection(&self) -> Result<(Tensor, Option<Tensor>)> {
        let weight = self.project.weight.broadcast_mul(&self.gate.unsqueeze(1)?)?;
        let bias = self.project.bias.as_ref().map(|bias| bias * &self.gate).transpose()?;
        Ok((weight, bias))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::params::Params;

    #[test]
    fn with_fixed_weights_a_block_gives_the_same() -> Result<()> {
        let cfg = ConvNextConfig { blocks: 1, kernel: 5, factor: 3, dropout: 0.0 };
        let params = Params::new(2, &Device::Cpu);
        let learning = ConvNextBlock::new(24, &cfg, params.builder())?;
        let values = params.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
        let fixed = ConvNextBlock::new(24, &cfg, VarBuilder::from_tensors(values, DType::F32, &Device::Cpu))?;
        let xs = Tensor::arange(0f32, 2. * 9. * 24., &Device::Cpu)?.sin()?.reshape((2, 9, 24))?;
        let of = |block: &ConvNextBlock| block.forward(&xs, None, &Mode::Eval)?.flatten_all()?.to_vec1::<f32>();
        let (expected, found) = (of(&learning)?, of(&fixed)?);
        // Up to the rounding of a matrix unit.
        assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-4));
        // The second time with what the first one laid out.
        assert_eq!(of(&fixed.clone())?, found);
        assert!(fixed.gated.0.get().is_some() && learning.gated.0.get().is_none());
        Ok(())
    }
}
