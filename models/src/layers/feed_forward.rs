//! The convolutional feed-forward half of a block: FastSpeech's, as ParaLip publishes it, and the light preset's, which
//! uses it alone.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{Conv1d, Conv1dConfig, Initialiser, LayerNorm, Linear, LinearConfig, apply_mask};
use crate::mode::{Mode, dropout};
use crate::ops;

const EPS: f64 = 1e-5;

/// Sizes of a stack of [`FeedForward`]s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedForwardConfig {
    /// Number of blocks.
    pub blocks: usize,
    /// Width inside a block.
    pub hidden: usize,
    /// Taps of the convolution; odd.
    pub kernel: usize,
    /// Dropout after the activation and after the block.
    pub dropout: f64,
}

impl FeedForwardConfig {
    /// Positions on each side that an output of the stack depends on.
    pub fn context(&self) -> usize {
        self.blocks * (self.kernel / 2)
    }
}

/// What stands between the convolution and the linear map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// GELU: the light preset.
    Gelu,
    /// Multiplication by kernel^-0.5, then ReLU: as published.
    ScaledRelu,
}

/// x + linear(activation(convolution(LayerNorm(x)))).
#[derive(Debug, Clone)]
pub struct FeedForward {
    norm: LayerNorm,
    conv: Conv1d,
    output: Linear,
    activation: Activation,
    scale: f64,
    dropout: f64,
}

impl FeedForward {
    /// Reads `norm`, `conv` and `output`.
    pub fn new(channels: usize, cfg: &FeedForwardConfig, activation: Activation, vb: VarBuilder) -> Result<Self> {
        let init = match activation {
            Activation::Gelu => Initialiser::FanIn,
            Activation::ScaledRelu => Initialiser::Xavier,
        };
        // The published code leaves its convolution at PyTorch's start and draws only linear maps from Xavier's.
        let conv = Conv1dConfig::new(channels, cfg.hidden, cfg.kernel);
        Ok(Self {
            norm: LayerNorm::new(channels, EPS, vb.pp("norm"))?,
            conv: Conv1d::new(&conv, vb.pp("conv"))?,
            output: Linear::new(&LinearConfig::new(cfg.hidden, channels).start(init), vb.pp("output"))?,
            activation,
            scale: (cfg.kernel as f64).powf(-0.5),
            dropout: cfg.dropout,
        })
    }

    /// # Shapes
    /// - `xs`: (B, T, channels); output the same, zero at padded positions
    /// - `mask`: (B, T), see [`apply_mask`]
    pub fn forward(&self, xs: &Tensor, mask: Option<&Tensor>, mode: &Mode) -> Result<Tensor> {
        // LayerNorm makes its bias of a zero vector, so the mask is needed once more.
        let inner = self.conv.forward(&apply_mask(&self.norm.forward(xs)?, mask)?)?;
        let inner = match self.activation {
            Activation::Gelu => ops::gelu(&inner)?,
            Activation::ScaledRelu => ops::relu(&(inner * self.scale)?)?,
        };
        let inner = self.output.forward(&dropout(&inner, self.dropout, mode)?)?;
        apply_mask(&(xs + dropout(&inner, self.dropout, mode)?)?, mask)
    }
}
