//! The mel decoder: states on the mel grid to a log-mel spectrogram, all mel frames at once.
//!
//! FastSpeech's decoder (Ren et al. 2019) with convolutions in place of attention: each output depends on a bounded
//! number of mel frames, so that streamed speech equals speech made in one go.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::duration_predictor::{add_voice, voice_embedding};
use crate::layers::{ConvNextBlock, ConvNextConfig, Embedding, Initialiser, LayerNorm, Linear, LinearConfig};
use crate::length_regulator::PLACE_FEATURES;
use crate::mode::Mode;

/// About the mean of a log-mel spectrogram of speech, where the mel output starts.
const MEL_MEAN: f64 = -5.;
const EPS: f64 = 1e-6;

/// What a [`MelDecoder`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelDecoderConfig {
    /// Mel bins of the output.
    pub n_mels: usize,
    /// Width of the blocks.
    pub channels: usize,
    /// The blocks over the mel frames.
    pub stack: ConvNextConfig,
}

/// A linear map, ConvNeXt blocks, LayerNorm and a linear head.
#[derive(Debug, Clone)]
pub struct MelDecoder {
    input: Linear,
    voice: Option<Embedding>,
    blocks: Vec<ConvNextBlock>,
    norm: LayerNorm,
    mel: Linear,
    context: usize,
}

impl MelDecoder {
    /// Reads `input`, `block.N`, `norm`, `mel` and, where there is more than one voice, `voice`.
    pub fn new(cfg: &MelDecoderConfig, state_width: usize, n_voices: usize, vb: VarBuilder) -> Result<Self> {
        let mel = LinearConfig::new(cfg.channels, cfg.n_mels).start(Initialiser::Bias(MEL_MEAN));
        Ok(Self {
            input: Linear::new(&LinearConfig::new(state_width + PLACE_FEATURES, cfg.channels), vb.pp("input"))?,
            voice: voice_embedding(n_voices, cfg.channels, &vb)?,
            blocks: cfg.stack.build(cfg.channels, vb.pp("block"))?,
            norm: LayerNorm::new(cfg.channels, EPS, vb.pp("norm"))?,
            mel: Linear::new(&mel, vb.pp("mel"))?,
            context: cfg.stack.context(),
        })
    }

    /// How many mel frames on each side an output depends on.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Zeros stand for what lies beyond the ends of the given mel frames.
    ///
    /// # Shapes
    /// - `regulated`: (B, T, D), states on the mel grid
    /// - `place`: (B, T, [`PLACE_FEATURES`])
    /// - `voice`: (B) u32, ignored by a model of one voice
    /// - output: (B, T, n_mels), the natural logarithm of the mel spectrogram
    pub fn forward(&self, regulated: &Tensor, place: &Tensor, voice: Option<&Tensor>, mode: &Mode) -> Result<Tensor> {
        let xs = self.input.forward(&Tensor::cat(&[regulated, place], 2)?)?;
        let mut xs = add_voice(&xs, self.voice.as_ref(), voice)?;
        for block in &self.blocks {
            xs = block.forward(&xs, None, mode)?;
        }
        self.mel.forward(&self.norm.forward(&xs)?)
    }
}
