//! The text encoder: symbols to states, shared by the voice and the lips (ParaLip section 3.1).

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::layers::{ConvNextBlock, ConvNextConfig, FeatureEmbedding, FftConfig, FftStack, apply_mask, sinusoid};
use crate::mode::Mode;

/// The last LayerNorm of the published encoder, smaller than f32 can tell from 0 beside any real variance.
const PUBLISHED_EPS: f64 = 1e-12;

/// What a [`TextEncoder`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextEncoderConfig {
    /// How many values each feature of a symbol has; the vectors of all features are added.
    pub vocab: Vec<usize>,
    /// Width of the states.
    pub width: usize,
    /// The blocks over the symbols.
    pub stack: EncoderStack,
}

/// The kinds of blocks over the symbols.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EncoderStack {
    /// Convolutions with bounded context: the light preset.
    ConvNext(ConvNextConfig),
    /// Attention over the whole sentence, on embeddings scaled by sqrt(width) with sinusoids added: as published.
    Fft(FftConfig),
}

/// Embeds symbols and lets each see its neighbours.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    features: FeatureEmbedding,
    stack: Stack,
}

#[derive(Debug, Clone)]
enum Stack {
    ConvNext(Vec<ConvNextBlock>),
    Fft(FftStack),
}

impl TextEncoder {
    /// Reads `feature.0`, `feature.1`, ... and `block.0`, `block.1`, ...; with FFT blocks also `norm`
    pub fn new(cfg: &TextEncoderConfig, vb: VarBuilder) -> Result<Self> {
        let features = FeatureEmbedding::new(&cfg.vocab, cfg.width, vb.clone())?;
        let stack = match &cfg.stack {
            EncoderStack::ConvNext(stack) => Stack::ConvNext(stack.build(cfg.width, vb.pp("block"))?),
            EncoderStack::Fft(stack) => Stack::Fft(FftStack::new(cfg.width, stack, PUBLISHED_EPS, vb)?),
        };
        Ok(Self { features, stack })
    }

    /// Padding does not change the states of real symbols.
    ///
    /// # Shapes
    /// - `symbols`: (B, S, F) u32; the encoder reads the first features, as many as its vocabulary has
    /// - `mask`: (B, S) f32, 1 for symbols and 0 for padding after them
    /// - output: (B, S, D), zero where padded
    ///
    /// # Errors
    /// Fewer features than the vocabulary has, or an id outside it.
    pub fn forward(&self, symbols: &Tensor, mask: &Tensor, mode: &Mode) -> Result<Tensor> {
        let mut states = self.features.forward(symbols)?;
        match &self.stack {
            Stack::ConvNext(blocks) => {
                for block in blocks {
                    states = block.forward(&states, Some(mask), mode)?;
                }
                apply_mask(&states, Some(mask))
            }
            Stack::Fft(stack) => {
                let (_, symbols, width) = states.dims3()?;
                let places = sinusoid(symbols, width, states.device())?;
                states = (states * (width as f64).sqrt())?.broadcast_add(&places)?;
                stack.forward(&states, Some(mask), mode)
            }
        }
    }
}
