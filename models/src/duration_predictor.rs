//! The duration predictor: states of symbols to their lengths (FastSpeech; ParaLip section 3.2).

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::layers::{Conv1d, Conv1dConfig, Embedding, LayerNorm, Linear, LinearConfig, apply_mask, repeat_over_time};
use crate::mode::{Mode, dropout};
use crate::ops;

/// The published predictor's, smaller than f32 can tell from 0 beside any real variance.
const EPS: f64 = 1e-12;

/// What a [`DurationPredictor`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DurationConfig {
    /// Number of convolutions.
    pub layers: usize,
    /// Width of the convolutions.
    pub channels: usize,
    /// Taps of the convolutions; odd.
    pub kernel: usize,
    /// Dropout after each convolution.
    pub dropout: f64,
}

/// Convolutions, each followed by ReLU, LayerNorm and dropout, and a linear map to one number.
#[derive(Debug, Clone)]
pub struct DurationPredictor {
    voice: Option<Embedding>,
    layers: Vec<(Conv1d, LayerNorm)>,
    output: Linear,
    dropout: f64,
}

impl DurationPredictor {
    /// Reads `layer.N.{conv,norm}`, `output` and, where there is more than one voice, `voice`.
    pub fn new(cfg: &DurationConfig, state_width: usize, n_voices: usize, vb: VarBuilder) -> Result<Self> {
        let layers = (0..cfg.layers).map(|i| {
            let inputs = if i == 0 { state_width } else { cfg.channels };
            let vb = vb.pp("layer").pp(i);
            let conv = Conv1d::new(&Conv1dConfig::new(inputs, cfg.channels, cfg.kernel), vb.pp("conv"))?;
            Ok((conv, LayerNorm::new(cfg.channels, EPS, vb.pp("norm"))?))
        });
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let last_width = if cfg.layers == 0 { state_width } else { cfg.channels };
        Ok(Self {
            voice: voice_embedding(n_voices, state_width, &vb)?,
            layers,
            output: Linear::new(&LinearConfig::new(last_width, 1), vb.pp("output"))?,
            dropout: cfg.dropout,
        })
    }

    /// Lengths as ln(1 + mel frames). The states get no gradient from it.
    ///
    /// # Shapes
    /// - `states`: (B, S, D)
    /// - `mask`: (B, S), 1 for symbols and 0 for padding
    /// - `voice`: (B) u32, ignored by a model of one voice
    /// - output: (B, S), zero where padded
    pub fn forward(&self, states: &Tensor, mask: &Tensor, voice: Option<&Tensor>, mode: &Mode) -> Result<Tensor> {
        let mut xs = add_voice(&states.detach(), self.voice.as_ref(), voice)?;
        for (conv, norm) in &self.layers {
            xs = conv.forward(&apply_mask(&xs, Some(mask))?)?;
            xs = dropout(&norm.forward(&ops::relu(&xs)?)?, self.dropout, mode)?;
        }
        self.output.forward(&xs)?.squeeze(2)? * mask
    }
}

/// A vector for each voice, started small, where there is a choice of voices.
pub(crate) fn voice_embedding(n_voices: usize, width: usize, vb: &VarBuilder) -> Result<Option<Embedding>> {
    (n_voices > 1).then(|| Embedding::new(n_voices, width, 0.1, vb.pp("voice"))).transpose()
}

/// Adds the voice's vector to every position.
///
/// # Shapes
/// - `states`: (B, T, D); output the same
/// - `voice`: (B) u32
pub(crate) fn add_voice(states: &Tensor, table: Option<&Embedding>, voice: Option<&Tensor>) -> Result<Tensor> {
    match (table, voice) {
        (None, _) => Ok(states.clone()),
        (Some(table), Some(voice)) => states + repeat_over_time(&table.forward(voice)?, states.dim(1)?)?,
        (Some(_), None) => candle_core::bail!("this model has several voices: say which"),
    }
}
