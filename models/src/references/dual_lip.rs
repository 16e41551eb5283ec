//! DualLip's lip generator without given durations (Chen et al. 2020), as ParaLip compares with it: Tacotron 2 (Shen et al.
//! 2018) whose pre-net is an encoder of the image before.
//!
//! Neither code nor sizes are published; the sizes of the paper preset are Tacotron 2's. Left out are Tacotron 2's
//! post-net, which refines a spectrogram, and its zoneout.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::Decoded;
use super::location_attention::{LocationAttention, LocationAttentionConfig, Looked};
use crate::layers::{
    BatchNorm, Conv1d, Conv1dConfig, FeatureEmbedding, Linear, LinearConfig, Lstm, LstmState, apply_mask,
};
use crate::length_regulator::regulate;
use crate::mode::{Mode, dropout};
use crate::ops;

/// What a [`DualLip`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DualLipConfig {
    /// How many values each feature of a symbol has; the vectors of all features are added.
    pub vocab: Vec<usize>,
    /// Width of the states of symbols; even, half for each direction of the recurrent layer.
    pub width: usize,
    /// Convolutions over the symbols.
    pub convolutions: usize,
    /// Their taps; odd.
    pub kernel: usize,
    /// Dropout after each of them.
    pub dropout: f64,
    /// Where the decoder looks.
    pub attention: LocationAttentionConfig,
    /// Width of both recurrent layers of the decoder.
    pub recurrent: usize,
    /// Dropout of what is seen of the image before, as Tacotron 2's pre-net has: without it the decoder copies that image
    /// and learns no text.
    pub previous_dropout: f64,
    /// Width of the motion vectors.
    pub motion: usize,
}

/// Symbols and the images before to motion vectors.
#[derive(Debug, Clone)]
pub struct DualLip {
    embedding: FeatureEmbedding,
    convolutions: Vec<(Conv1d, BatchNorm)>,
    dropout: f64,
    forwards: Lstm,
    backwards: Lstm,
    attention: LocationAttention,
    /// Sees the image before and what was looked at; its output is the query.
    attending: Lstm,
    decoding: Lstm,
    previous_dropout: f64,
    motion: Linear,
    stop: Linear,
}

/// How far the decoding of a batch of texts has come.
#[derive(Debug, Clone)]
pub struct DualLipState {
    text: Looked,
    /// What was looked at last, (B, width).
    context: Tensor,
    attending: LstmState,
    decoding: LstmState,
}

impl DualLipState {
    /// The same numbers without the steps that they came from.
    pub fn detach(&self) -> Self {
        Self {
            text: self.text.detach(),
            context: self.context.detach(),
            attending: self.attending.detach(),
            decoding: self.decoding.detach(),
        }
    }
}

impl DualLip {
    /// Reads `embedding`, `conv.N.{conv,norm}`, `forwards`, `backwards`, `attention`, `attending`, `decoding`, `motion` and
    /// `stop`; `previous` is the width of the vectors of images before.
    ///
    /// # Errors
    /// An odd width.
    pub fn new(cfg: &DualLipConfig, previous: usize, vb: VarBuilder) -> Result<Self> {
        let (width, recurrent) = (cfg.width, cfg.recurrent);
        if !width.is_multiple_of(2) {
            candle_core::bail!("system.width must be even: half for each direction");
        }
        let convolution = |i: usize| {
            let vb = vb.pp("conv").pp(i);
            let conv = Conv1d::new(&Conv1dConfig::new(width, width, cfg.kernel), vb.pp("conv"))?;
            Ok((conv, BatchNorm::new(width, vb.pp("norm"))?))
        };
        Ok(Self {
            embedding: FeatureEmbedding::new(&cfg.vocab, width, vb.pp("embedding"))?,
            convolutions: (0..cfg.convolutions).map(convolution).collect::<Result<_>>()?,
            dropout: cfg.dropout,
            forwards: Lstm::new(width, width / 2, vb.pp("forwards"))?,
            backwards: Lstm::new(width, width / 2, vb.pp("backwards"))?,
            attention: LocationAttention::new(&cfg.attention, recurrent, width, vb.pp("attention"))?,
            attending: Lstm::new(previous + width, recurrent, vb.pp("attending"))?,
            decoding: Lstm::new(recurrent + width, recurrent, vb.pp("decoding"))?,
            previous_dropout: cfg.previous_dropout,
            motion: Linear::new(&LinearConfig::new(recurrent + width, cfg.motion), vb.pp("motion"))?,
            stop: Linear::new(&LinearConfig::new(recurrent + width, 1), vb.pp("stop"))?,
        })
    }

    /// Reads texts.
    ///
    /// # Shapes
    /// - `symbols`: (B, S, F) u32
    /// - `mask`: (B, S), 1 for symbols and 0 for padding after them
    pub fn start(&self, symbols: &Tensor, mask: &Tensor, mode: &Mode) -> Result<DualLipState> {
        let states = self.states(symbols, mask, mode)?;
        let (batch, device) = (states.dim(0)?, states.device());
        Ok(DualLipState {
            text: self.attention.start(&states, mask)?,
            context: states.narrow(1, 0, 1)?.squeeze(1)?.zeros_like()?,
            attending: self.attending.start(batch, device)?,
            decoding: self.decoding.start(batch, device)?,
        })
    }

    /// States of symbols, (B, S, width), zero where padded.
    fn states(&self, symbols: &Tensor, mask: &Tensor, mode: &Mode) -> Result<Tensor> {
        let mut xs = apply_mask(&self.embedding.forward(symbols)?, Some(mask))?;
        for (conv, norm) in &self.convolutions {
            // BatchNorm takes (B, C, S).
            let ys = norm.forward(&conv.forward(&xs)?.transpose(1, 2)?.contiguous()?, mode)?;
            let ys = ops::relu(&ys)?.transpose(1, 2)?.contiguous()?;
            xs = apply_mask(&dropout(&ys, self.dropout, mode)?, Some(mask))?;
        }
        let turned = turned(mask)?;
        let backwards = self.backwards.forward(&regulate(&xs, &turned)?)?;
        let both = Tensor::cat(&[&self.forwards.forward(&xs)?, &regulate(&backwards, &turned)?], 2)?;
        apply_mask(&both, Some(mask))
    }

    /// Decodes as many video frames as there are images before.
    ///
    /// # Shapes
    /// - `previous`: (B, t, previous width), the vectors of the images before
    pub fn decode(&self, previous: &Tensor, state: &mut DualLipState, mode: &Mode) -> Result<Decoded> {
        let previous = dropout(previous, self.previous_dropout, mode)?;
        let (_, positions, _) = previous.dims3()?;
        let (mut outputs, mut attention) = (Vec::with_capacity(positions), Vec::with_capacity(positions));
        for t in 0..positions {
            let before = previous.narrow(1, t, 1)?.squeeze(1)?;
            state.attending = self.attending.step(&[&before, &state.context], &state.attending)?;
            let (context, weights) = self.attention.look(&state.attending.hidden, &mut state.text)?;
            state.decoding = self.decoding.step(&[&state.attending.hidden, &context], &state.decoding)?;
            outputs.push(Tensor::cat(&[&state.decoding.hidden, &context], 1)?);
            attention.push(weights);
            state.context = context;
        }
        let outputs = Tensor::stack(&outputs, 1)?;
        Ok(Decoded {
            motion: self.motion.forward(&outputs)?,
            stop: self.stop.forward(&outputs)?.squeeze(2)?,
            attention: Tensor::stack(&attention, 1)?,
        })
    }
}

/// For each text the places of its symbols from the last to the first, then those of its padding: (B, S) u32. Turning
/// twice gives the text again.
fn turned(mask: &Tensor) -> Result<Tensor> {
    let (batch, symbols) = mask.dims2()?;
    let mut places = Vec::with_capacity(batch * symbols);
    for row in mask.to_vec2::<f32>()? {
        let length = row.iter().filter(|real| **real > 0.).count();
        places.extend((0..symbols).map(|s| if s < length { length - 1 - s } else { s } as u32));
    }
    Tensor::from_vec(places, (batch, symbols), mask.device())
}
