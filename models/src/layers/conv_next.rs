//! The ConvNeXt block over time: "A ConvNet for the 2020s" (Liu et al. 2022), as Vocos (Siuzdak 2024) uses it in one
//! dimension.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

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
        // The gate acts on the weights, not on the output: the same map, and its gradient is a sum over a matrix's rows
        // instead of a strided sum over the whole batch.
        let weight = self.project.weight.broadcast_mul(&self.gate.unsqueeze(1)?)?;
        let bias = self.project.bias.as_ref().map(|bias| bias * &self.gate).transpose()?;
        let gated = ops::linear(&inner, &weight, bias.as_ref())?;
        xs + dropout(&gated, self.dropout, mode)?
    }
}
