//! TransformerT2L, ParaLip's other autoregressive baseline: its own encoder and a Transformer decoder over the images
//! before.
//!
//! Sizes follow from the published 37.78 million parameters: four encoder and four decoder blocks of width 256, the latter
//! with attention to what was decoded, attention to the text, and a causal convolutional feed-forward half. How the
//! published system ends is not disclosed; here a stop logit ends it, as it does in DualLip. As in ParaLip the vector of
//! the identity is added to the decoder's input.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::attention::{Attention, Memory};
use super::{Decoded, HIDDEN, hidden_padding};
use crate::layers::{Conv1d, Conv1dConfig, FftConfig, Initialiser, LayerNorm, Linear, LinearConfig, sinusoid};
use crate::mode::{Mode, dropout};
use crate::ops;
use crate::text_encoder::{TextEncoder, TextEncoderConfig};

const EPS: f64 = 1e-5;

/// What a [`TransformerT2l`] is made of; motion vectors are as wide as the encoder's states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerT2lConfig {
    /// Symbols to states.
    pub encoder: TextEncoderConfig,
    /// The decoder's blocks.
    pub decoder: FftConfig,
    /// Dropout of what is seen of the image before: without it the decoder copies that image and learns no text.
    pub previous_dropout: f64,
}

/// Symbols and the images before to motion vectors.
#[derive(Debug, Clone)]
pub struct TransformerT2l {
    encoder: TextEncoder,
    /// Weight of the positions' sinusoids.
    alpha: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    stop: Linear,
    dropout: f64,
    previous_dropout: f64,
}

/// How far the decoding of a batch of texts has come.
#[derive(Debug, Clone)]
pub struct TransformerT2lState {
    /// (B, 1, width)
    identity: Tensor,
    /// Hides padded symbols: (B, 1, 1, S).
    padding: Tensor,
    blocks: Vec<BlockState>,
    /// Video frames decoded so far.
    decoded: usize,
}

impl TransformerT2lState {
    /// The same numbers without the steps that they came from.
    pub fn detach(&self) -> Self {
        let block = |block: &BlockState| BlockState {
            text: block.text.detach(),
            decoded: block.decoded.as_ref().map(Memory::detach),
            history: block.history.detach(),
        };
        Self { identity: self.identity.detach(), blocks: self.blocks.iter().map(block).collect(), ..self.clone() }
    }
}

impl TransformerT2l {
    /// Reads `encoder`, `alpha` (1), `block.0`, `block.1`, ..., `norm` and `stop`; `previous` and `identity` are the widths
    /// of the vectors of images.
    ///
    /// # Errors
    /// Widths that differ, an even kernel, heads that do not divide the width.
    pub fn new(cfg: &TransformerT2lConfig, previous: usize, identity: usize, vb: VarBuilder) -> Result<Self> {
        let width = cfg.encoder.width;
        if previous != width || identity != width {
            candle_core::bail!("previous.vector and identity.vector must equal system.encoder.width: they are added");
        }
        let blocks = (0..cfg.decoder.layers).map(|i| Block::new(width, &cfg.decoder, vb.pp("block").pp(i)));
        Ok(Self {
            encoder: TextEncoder::new(&cfg.encoder, vb.pp("encoder"))?,
            alpha: vb.get_with_hints(1, "alpha", Init::Const(1.))?,
            blocks: blocks.collect::<Result<_>>()?,
            norm: LayerNorm::new(width, EPS, vb.pp("norm"))?,
            stop: Linear::new(&LinearConfig::new(width, 1), vb.pp("stop"))?,
            dropout: cfg.decoder.dropout,
            previous_dropout: cfg.previous_dropout,
        })
    }

    /// Reads texts.
    ///
    /// # Shapes
    /// - `symbols`: (B, S, F) u32
    /// - `mask`: (B, S), 1 for symbols and 0 for padding after them
    /// - `identity`: (B, width)
    pub fn start(
        &self,
        symbols: &Tensor,
        mask: &Tensor,
        identity: &Tensor,
        mode: &Mode,
    ) -> Result<TransformerT2lState> {
        let states = self.encoder.forward(symbols, mask, mode)?;
        let blocks = self.blocks.iter().map(|block| block.start(&states));
        Ok(TransformerT2lState {
            identity: identity.unsqueeze(1)?,
            padding: hidden_padding(mask)?.unsqueeze(1)?.unsqueeze(1)?,
            blocks: blocks.collect::<Result<_>>()?,
            decoded: 0,
        })
    }

    /// Decodes as many video frames as there are images before.
    ///
    /// # Shapes
    /// - `previous`: (B, t, width), the vectors of the images before
    pub fn decode(&self, previous: &Tensor, state: &mut TransformerT2lState, mode: &Mode) -> Result<Decoded> {
        let (_, positions, width) = previous.dims3()?;
        let device = previous.device();
        let places = sinusoid(state.decoded + positions, width, device)?.narrow(1, state.decoded, positions)?;
        let future = hidden_future(positions, state.decoded, device)?;
        let seen = dropout(previous, self.previous_dropout, mode)?.broadcast_add(&state.identity)?;
        let xs = seen.broadcast_add(&places.broadcast_mul(&self.alpha)?)?;
        let mut xs = dropout(&xs, self.dropout, mode)?;
        let mut attention = Vec::with_capacity(self.blocks.len());
        for (block, memory) in self.blocks.iter().zip(&mut state.blocks) {
            let (ys, weights) = block.forward(&xs, memory, &future, &state.padding, mode)?;
            attention.push(weights);
            xs = ys;
        }
        state.decoded += positions;
        let motion = self.norm.forward(&xs)?;
        Ok(Decoded {
            stop: self.stop.forward(&motion)?.squeeze(2)?,
            motion,
            attention: Tensor::stack(&attention, 0)?.mean(0)?,
        })
    }
}

/// Hides from each of `positions` new positions, which come after `before` others, those after it: (1, 1, T, before + T).
fn hidden_future(positions: usize, before: usize, device: &Device) -> Result<Tensor> {
    let all = before + positions;
    let row = |t: usize| (0..all).map(move |key| if key > before + t { -HIDDEN as f32 } else { 0. });
    Tensor::from_vec((0..positions).flat_map(row).collect::<Vec<_>>(), (1, 1, positions, all), device)
}

/// Attention to what was decoded, attention to the text, causal feed-forward half; LayerNorm before each.
#[derive(Debug, Clone)]
struct Block {
    decoded_norm: LayerNorm,
    decoded: Attention,
    text_norm: LayerNorm,
    text: Attention,
    norm: LayerNorm,
    conv: Conv1d,
    output: Linear,
    /// Multiplies the convolution's output, as in ParaLip's blocks.
    scale: f64,
    /// Positions before its own that the convolution reads.
    reach: usize,
    dropout: f64,
}

/// What a block keeps between steps.
#[derive(Debug, Clone)]
struct BlockState {
    text: Memory,
    decoded: Option<Memory>,
    /// The last inputs of the convolution, (B, reach, channels); zeros before the first.
    history: Tensor,
}

impl Block {
    fn new(channels: usize, cfg: &FftConfig, vb: VarBuilder) -> Result<Self> {
        let norm = |name| LayerNorm::new(channels, EPS, vb.pp(name).pp("norm"));
        let half = vb.pp("feed_forward");
        let output = LinearConfig::new(cfg.hidden, channels).start(Initialiser::Xavier);
        Ok(Self {
            decoded_norm: norm("decoded")?,
            decoded: Attention::new(channels, cfg.heads, vb.pp("decoded"))?,
            text_norm: norm("text")?,
            text: Attention::new(channels, cfg.heads, vb.pp("text"))?,
            norm: norm("feed_forward")?,
            conv: Conv1d::new(&Conv1dConfig::new(channels, cfg.hidden, cfg.kernel), half.pp("conv"))?,
            output: Linear::new(&output, half.pp("output"))?,
            scale: (cfg.kernel as f64).powf(-0.5),
            reach: cfg.kernel - 1,
            dropout: cfg.dropout,
        })
    }

    fn start(&self, states: &Tensor) -> Result<BlockState> {
        let (batch, _, channels) = states.dims3()?;
        let history = Tensor::zeros((batch, self.reach, channels), DType::F32, states.device())?;
        Ok(BlockState { text: self.text.remember(states)?, decoded: None, history })
    }

    /// The new positions, (B, T, channels), and where they look in the text, (B, T, S).
    fn forward(
        &self,
        xs: &Tensor,
        state: &mut BlockState,
        future: &Tensor,
        padding: &Tensor,
        mode: &Mode,
    ) -> Result<(Tensor, Tensor)> {
        let add = |xs: &Tensor, half: &Tensor| xs + dropout(half, self.dropout, mode)?;
        let normal = self.decoded_norm.forward(xs)?;
        let memory = Memory::append(state.decoded.as_ref(), self.decoded.remember(&normal)?)?;
        let xs = add(xs, &self.decoded.forward(&normal, &memory, future)?.0)?;
        state.decoded = Some(memory);

        let (seen, weights) = self.text.forward(&self.text_norm.forward(&xs)?, &state.text, padding)?;
        let xs = add(&xs, &seen)?;

        let read = Tensor::cat(&[&state.history, &self.norm.forward(&xs)?], 1)?;
        state.history = read.narrow(1, read.dim(1)? - self.reach, self.reach)?;
        let inner = ops::relu(&(self.conv.forward_inside(&read)? * self.scale)?)?;
        let inner = self.output.forward(&dropout(&inner, self.dropout, mode)?)?;
        Ok((add(&xs, &inner)?, weights))
    }
}
