//! The motion decoder: states on the motion grid and a person's identity to one motion vector for each position (ParaLip
//! section 3.3).

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use crate::layers::{
    Activation, Embedding, FeedForward, FeedForwardConfig, FftConfig, FftStack, LayerNorm, Linear, LinearConfig,
    apply_mask, repeat_over_time, sinusoid,
};
use crate::length_regulator::PLACE_FEATURES;
use crate::mode::Mode;

const EPS: f64 = 1e-5;

/// What a [`MotionDecoder`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MotionConfig {
    /// Width of the text encoder's states.
    pub state_width: usize,
    /// Width of the blocks and of the motion vectors; the identity vector is as wide.
    pub width: usize,
    /// Whether positions know their place in their symbol; without, the states are as wide as the blocks (published).
    pub place_features: bool,
    /// How many visemes there are; 0: none are given (published).
    pub n_visemes: usize,
    /// Probability in training that a sentence's states are hidden, so that visemes alone must move the lips. Phonemes
    /// that the lip corpus lacks then borrow the lips of their viseme.
    pub state_dropout: f64,
    /// The blocks over the motion grid.
    pub stack: MotionStack,
}

/// The kinds of blocks over the motion grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MotionStack {
    /// Convolutions with bounded context: the light preset.
    Conv(FeedForwardConfig),
    /// Attention over the whole sentence, with sinusoids of a learned weight added: as published.
    Fft(FftConfig),
}

/// Decodes motion for all positions at once.
#[derive(Debug, Clone)]
pub struct MotionDecoder {
    input: Option<Linear>,
    viseme: Option<Embedding>,
    stack: Stack,
    state_dropout: f64,
    context: usize,
}

#[derive(Debug, Clone)]
enum Stack {
    Conv(Vec<FeedForward>, LayerNorm),
    /// The scalar weighs the sinusoids.
    Fft(FftStack, Tensor),
}

impl MotionDecoder {
    /// Reads `input` (with place features), `viseme` (with visemes), `block.N` and `norm`; with FFT blocks also
    /// `alpha` (1).
    ///
    /// # Errors
    /// No place features, and states of another width than the blocks.
    pub fn new(cfg: &MotionConfig, vb: VarBuilder) -> Result<Self> {
        let input = match cfg.place_features {
            true => {
                let linear = LinearConfig::new(cfg.state_width + PLACE_FEATURES, cfg.width);
                Some(Linear::new(&linear, vb.pp("input"))?)
            }
            false if cfg.state_width == cfg.width => None,
            false => candle_core::bail!("without place_features, state_width must equal the motion decoder's width"),
        };
        let viseme =
            (cfg.n_visemes > 0).then(|| Embedding::new(cfg.n_visemes, cfg.width, 0.5, vb.pp("viseme"))).transpose()?;
        let blocks = vb.pp("block");
        let (stack, context) = match &cfg.stack {
            MotionStack::Conv(stack) => {
                let layers =
                    (0..stack.blocks).map(|i| FeedForward::new(cfg.width, stack, Activation::Gelu, blocks.pp(i)));
                let norm = LayerNorm::new(cfg.width, EPS, vb.pp("norm"))?;
                (Stack::Conv(layers.collect::<Result<_>>()?, norm), stack.context())
            }
            MotionStack::Fft(stack) => {
                let alpha = vb.get_with_hints(1, "alpha", Init::Const(1.))?;
                (Stack::Fft(FftStack::new(cfg.width, stack, EPS, vb)?, alpha), usize::MAX)
            }
        };
        Ok(Self { input, viseme, stack, state_dropout: cfg.state_dropout, context })
    }

    /// How many positions on each side an output depends on; `usize::MAX` where attention sees the whole sentence.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Motion of sentences without padding, or of windows cut from them; see [`MotionDecoder::forward_masked`].
    pub fn forward(
        &self,
        regulated: &Tensor,
        viseme: Option<&Tensor>,
        place: &Tensor,
        identity_vector: &Tensor,
        mode: &Mode,
    ) -> Result<Tensor> {
        self.forward_masked(regulated, viseme, place, identity_vector, None, mode)
    }

    /// Zeros stand for what lies beyond the ends and for padding.
    ///
    /// # Shapes
    /// - `regulated`: (B, T, state_width), states on the motion grid
    /// - `viseme`: (B, T) u32, ignored by a model without visemes
    /// - `place`: (B, T, [`PLACE_FEATURES`]), ignored by a model without place features
    /// - `identity_vector`: (B, width)
    /// - `mask`: (B, T), 1 where a position is real and 0 where it is padding after the sentence
    /// - output: (B, T, width), zero at padded positions
    ///
    /// # Errors
    /// No visemes for a model that has them.
    pub fn forward_masked(
        &self,
        regulated: &Tensor,
        viseme: Option<&Tensor>,
        place: &Tensor,
        identity_vector: &Tensor,
        mask: Option<&Tensor>,
        mode: &Mode,
    ) -> Result<Tensor> {
        let (batch, positions, _) = regulated.dims3()?;
        let mut xs = match mode {
            Mode::Train(rng) if self.state_dropout > 0. => {
                let shown = rng.mask((batch, 1, 1), self.state_dropout, 1., regulated.device())?;
                regulated.broadcast_mul(&shown)?
            }
            _ => regulated.clone(),
        };
        if let Some(input) = &self.input {
            xs = input.forward(&Tensor::cat(&[&xs, place], 2)?)?;
        }
        match (&self.viseme, viseme) {
            (Some(table), Some(viseme)) => xs = (xs + table.forward(viseme)?)?,
            (Some(_), None) => candle_core::bail!("this motion decoder needs visemes"),
            (None, _) => {}
        }
        xs = apply_mask(&(xs + repeat_over_time(identity_vector, positions)?)?, mask)?;
        match &self.stack {
            Stack::Conv(blocks, norm) => {
                for block in blocks {
                    xs = block.forward(&xs, mask, mode)?;
                }
                apply_mask(&norm.forward(&xs)?, mask)
            }
            Stack::Fft(stack, alpha) => {
                let places = sinusoid(positions, xs.dim(2)?, xs.device())?.broadcast_mul(alpha)?;
                stack.forward(&xs.broadcast_add(&places)?, mask, mode)
            }
        }
    }
}
