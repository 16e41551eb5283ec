//! The pitch decoder: states of symbols to F0 and voicing on the mel grid.
//!
//! The melody of a sentence hangs on what is said far before and after, the shape of F0 inside a phoneme on its neighbours
//! alone. So wide convolutions run over the symbols of the whole sentence, and narrow ones over the mel frames, whose
//! bounded context lets streamed speech equal speech made in one go.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::duration_predictor::{add_voice, voice_embedding};
use crate::layers::{ConvNextBlock, ConvNextConfig, Embedding, LayerNorm, Linear, LinearConfig};
use crate::length_regulator::{PLACE_FEATURES, regulate};
use crate::mode::Mode;

/// What the F0 output is measured from: ln(180 Hz), between men's and women's voices.
const LOG_F0_CENTRE: f64 = 5.193;
const EPS: f64 = 1e-6;

/// What a [`PitchDecoder`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PitchConfig {
    /// Width of the blocks.
    pub channels: usize,
    /// The blocks over the symbols.
    pub melody: ConvNextConfig,
    /// The blocks over the mel frames.
    pub stack: ConvNextConfig,
}

/// What a [`PitchDecoder`] predicts.
#[derive(Debug, Clone)]
pub struct Pitch {
    /// (B, T): natural logarithm of F0 in Hz; meaningful where voiced.
    pub log_f0: Tensor,
    /// (B, T): logit of the probability that the mel frame is voiced.
    pub voicing_logit: Tensor,
}

/// ConvNeXt blocks over symbols, then over mel frames, LayerNorm and a linear head.
#[derive(Debug, Clone)]
pub struct PitchDecoder {
    input: Linear,
    voice: Option<Embedding>,
    melody: Vec<ConvNextBlock>,
    place: Linear,
    blocks: Vec<ConvNextBlock>,
    norm: LayerNorm,
    output: Linear,
    context: usize,
}

impl PitchDecoder {
    /// Reads `input`, `melody.N`, `place`, `block.N`, `norm`, `output` and, where there is more than one voice, `voice`.
    pub fn new(cfg: &PitchConfig, state_width: usize, n_voices: usize, vb: VarBuilder) -> Result<Self> {
        let width = cfg.channels;
        Ok(Self {
            input: Linear::new(&LinearConfig::new(state_width, width), vb.pp("input"))?,
            voice: voice_embedding(n_voices, width, &vb)?,
            melody: cfg.melody.build(width, vb.pp("melody"))?,
            place: Linear::new(&LinearConfig::new(width + PLACE_FEATURES, width), vb.pp("place"))?,
            blocks: cfg.stack.build(width, vb.pp("block"))?,
            norm: LayerNorm::new(width, EPS, vb.pp("norm"))?,
            output: Linear::new(&LinearConfig::new(width, 2), vb.pp("output"))?,
            context: cfg.stack.context(),
        })
    }

    /// How many mel frames on each side an output of [`PitchDecoder::on_grid`] depends on.
    pub fn context(&self) -> usize {
        self.context
    }

    /// What the symbols of whole sentences mean for the pitch.
    ///
    /// # Shapes
    /// - `states`: (B, S, D)
    /// - `mask`: (B, S), 1 for symbols and 0 for padding
    /// - `voice`: (B) u32, ignored by a model of one voice
    /// - output: (B, S, channels), undefined where padded
    pub fn melody(&self, states: &Tensor, mask: &Tensor, voice: Option<&Tensor>, mode: &Mode) -> Result<Tensor> {
        let mut xs = add_voice(&self.input.forward(states)?, self.voice.as_ref(), voice)?;
        for block in &self.melody {
            xs = block.forward(&xs, Some(mask), mode)?;
        }
        Ok(xs)
    }

    /// Pitch of mel frames. Zeros stand for what lies beyond the ends of those given.
    ///
    /// # Shapes
    /// - `regulated`: (B, T, channels), [`PitchDecoder::melody`] on the mel grid
    /// - `place`: (B, T, [`PLACE_FEATURES`])
    pub fn on_grid(&self, regulated: &Tensor, place: &Tensor, mode: &Mode) -> Result<Pitch> {
        let mut xs = self.place.forward(&Tensor::cat(&[regulated, place], 2)?)?;
        for block in &self.blocks {
            xs = block.forward(&xs, None, mode)?;
        }
        let pitch = self.output.forward(&self.norm.forward(&xs)?)?;
        Ok(Pitch {
            log_f0: (pitch.narrow(2, 0, 1)?.squeeze(2)? + LOG_F0_CENTRE)?,
            voicing_logit: pitch.narrow(2, 1, 1)?.squeeze(2)?,
        })
    }

    /// Pitch of mel frames of whole sentences.
    ///
    /// # Shapes
    /// - `states`, `mask`, `voice`: as [`PitchDecoder::melody`] reads them
    /// - `index`: (B, T) u32, as [`regulate`] reads it
    /// - `place`: (B, T, [`PLACE_FEATURES`])
    pub fn forward(
        &self,
        states: &Tensor,
        mask: &Tensor,
        [index, place]: [&Tensor; 2],
        voice: Option<&Tensor>,
        mode: &Mode,
    ) -> Result<Pitch> {
        self.on_grid(&regulate(&self.melody(states, mask, voice, mode)?, index)?, place, mode)
    }
}
