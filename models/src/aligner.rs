//! The aligner's net: a mel spectrogram to the phoneme that each mel frame belongs to.
//!
//! A frame-wise phone recogniser of ConvNeXt blocks (see [`crate::layers::ConvNextBlock`]), small because it never has to
//! guess what is said: whoever aligns knows the text, and asks only where in the recording it is.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::layers::{ConvNextBlock, ConvNextConfig, LayerNorm, Linear, LinearConfig};
use crate::mode::Mode;

const EPS: f64 = 1e-6;

/// What an [`AlignerNet`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlignerConfig {
    /// Mel bins of the input.
    pub n_mels: usize,
    /// Phonemes to tell apart.
    pub phonemes: usize,
    /// Width of the blocks.
    pub channels: usize,
    /// Usual length of each phoneme in mel frames, for whoever searches; the training fills it in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usual_lengths: Vec<f32>,
    /// The blocks over the mel frames.
    pub stack: ConvNextConfig,
}

/// A linear map, ConvNeXt blocks, LayerNorm and a linear map.
#[derive(Debug, Clone)]
pub struct AlignerNet {
    input: Linear,
    blocks: Vec<ConvNextBlock>,
    norm: LayerNorm,
    output: Linear,
}

impl AlignerNet {
    /// Reads `input`, `block.N`, `norm` and `output`.
    pub fn new(cfg: &AlignerConfig, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            input: Linear::new(&LinearConfig::new(cfg.n_mels, cfg.channels), vb.pp("input"))?,
            blocks: cfg.stack.build(cfg.channels, vb.pp("block"))?,
            norm: LayerNorm::new(cfg.channels, EPS, vb.pp("norm"))?,
            output: Linear::new(&LinearConfig::new(cfg.channels, cfg.phonemes), vb.pp("output"))?,
        })
    }

    /// Logits of the phonemes. Zeros stand for what lies beyond the ends of the given mel frames.
    ///
    /// # Shapes
    /// - `mel`: (B, T, n_mels)
    /// - output: (B, T, phonemes)
    pub fn forward(&self, mel: &Tensor, mode: &Mode) -> Result<Tensor> {
        let mut xs = self.input.forward(mel)?;
        for block in &self.blocks {
            xs = block.forward(&xs, None, mode)?;
        }
        self.output.forward(&self.norm.forward(&xs)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::config::preset;
    use crate::params::Params;

    #[test]
    fn the_preset_is_small_and_gives_a_logit_for_each_phoneme() {
        let config: AlignerConfig = preset("aligner-light").unwrap();
        let params = Params::new(0, &Device::Cpu);
        let net = AlignerNet::new(&config, params.builder()).unwrap();
        let mel = Tensor::zeros((2, 5, config.n_mels), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(net.forward(&mel, &Mode::Eval).unwrap().dims(), [2, 5, config.phonemes]);
        // As f16 it is to stay below 2 MB.
        assert!(params.count() < 1_000_000, "{}", params.count());
    }
}
