//! The feed-forward Transformer (FFT) block of FastSpeech (Ren et al. 2019), as ParaLip publishes it: LayerNorm before
//! each half, a convolutional feed-forward half, padded positions zeroed after each half.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{Activation, FeedForward, FeedForwardConfig, LayerNorm, SelfAttention, apply_mask};
use crate::mode::{Mode, dropout};

const EPS: f64 = 1e-5;

/// Sizes of an [`FftStack`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FftConfig {
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// Width inside the feed-forward half.
    pub hidden: usize,
    /// Taps of the feed-forward half's convolution; odd.
    pub kernel: usize,
    /// Dropout of the input and of each half.
    pub dropout: f64,
}

/// Self-attention, then the convolutional feed-forward half.
#[derive(Debug, Clone)]
pub struct FftBlock {
    norm: LayerNorm,
    attention: SelfAttention,
    feed_forward: FeedForward,
    dropout: f64,
}

impl FftBlock {
    /// Reads `attention.norm`, `attention` and `feed_forward`.
    pub fn new(channels: usize, cfg: &FftConfig, vb: VarBuilder) -> Result<Self> {
        let half = FeedForwardConfig { blocks: 1, hidden: cfg.hidden, kernel: cfg.kernel, dropout: cfg.dropout };
        Ok(Self {
            norm: LayerNorm::new(channels, EPS, vb.pp("attention").pp("norm"))?,
            attention: SelfAttention::new(channels, cfg.heads, vb.pp("attention"))?,
            feed_forward: FeedForward::new(channels, &half, Activation::ScaledRelu, vb.pp("feed_forward"))?,
            dropout: cfg.dropout,
        })
    }

    /// # Shapes
    /// - `xs`: (B, T, channels); output the same, zero at padded positions
    /// - `mask`: (B, T), see [`apply_mask`]
    pub fn forward(&self, xs: &Tensor, mask: Option<&Tensor>, mode: &Mode) -> Result<Tensor> {
        let seen = self.attention.forward(&self.norm.forward(xs)?, mask)?;
        let xs = apply_mask(&(xs + dropout(&seen, self.dropout, mode)?)?, mask)?;
        self.feed_forward.forward(&xs, mask, mode)
    }
}

/// Dropout of the input, blocks, and a LayerNorm.
#[derive(Debug, Clone)]
pub struct FftStack {
    blocks: Vec<FftBlock>,
    norm: LayerNorm,
    dropout: f64,
}

impl FftStack {
    /// Reads `block.0`, `block.1`, ... and `norm`, whose variance gets `eps` added.
    pub fn new(channels: usize, cfg: &FftConfig, eps: f64, vb: VarBuilder) -> Result<Self> {
        let blocks = (0..cfg.layers).map(|i| FftBlock::new(channels, cfg, vb.pp("block").pp(i)));
        let blocks = blocks.collect::<Result<_>>()?;
        Ok(Self { blocks, norm: LayerNorm::new(channels, eps, vb.pp("norm"))?, dropout: cfg.dropout })
    }

    /// # Shapes
    /// - `xs`: (B, T, channels), positions added; output the same, zero at padded positions
    /// - `mask`: (B, T), see [`apply_mask`]
    pub fn forward(&self, xs: &Tensor, mask: Option<&Tensor>, mode: &Mode) -> Result<Tensor> {
        let mut xs = apply_mask(&dropout(xs, self.dropout, mode)?, mask)?;
        for block in &self.blocks {
            xs = block.forward(&xs, mask, mode)?;
        }
        apply_mask(&self.norm.forward(&xs)?, mask)
    }
}
