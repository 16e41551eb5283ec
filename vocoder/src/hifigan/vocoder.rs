//! HiFi-GAN at work: synthesis in blocks of mel frames, whole or streamed. F0 and seed are not used.

use std::ops::Range;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::checkpoint::{check_tensors, read_checkpoint};
use super::{Generator, HifiGanConfig};
use crate::blocks::{BlockStream, BlockSynthesis, Known, relative};
use crate::error::{Result, VocoderError};
use crate::mel::MelConfig;
use crate::vocoder::{Vocoder, VocoderStream};

/// A [`Generator`] with fixed weights.
pub struct HifiGanVocoder {
    config: HifiGanConfig,
    generator: Generator,
}

impl HifiGanVocoder {
    /// Reads the weights of a [`Generator`].
    ///
    /// # Errors
    /// [`VocoderError::Config`] if the configuration makes no sense, [`VocoderError::Checkpoint`] if the weights do not
    /// fit it.
    pub fn new(config: &HifiGanConfig, vb: VarBuilder) -> Result<Self> {
        config.check()?;
        let generator = Generator::new(config, vb).map_err(|error| VocoderError::Checkpoint(error.to_string()))?;
        Ok(Self { config: config.clone(), generator: generator.folded()? })
    }

    /// Reads a file of weights: safetensors, or a published PyTorch file. Every tensor must be there, and no other.
    ///
    /// # Errors
    /// As [`HifiGanVocoder::new`].
    pub fn open(config: &HifiGanConfig, path: &Path) -> Result<Self> {
        config.check()?;
        let tensors = read_checkpoint(path)?;
        check_tensors(config, &tensors)?;
        Self::new(config, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))
    }

    /// Sizes.
    pub fn config(&self) -> &HifiGanConfig {
        &self.config
    }
}

impl BlockSynthesis for HifiGanVocoder {
    fn n_mels(&self) -> usize {
        self.config.mel.n_mels
    }

    fn context(&self) -> usize {
        self.config.context()
    }

    fn block(&self, known: &Known, block: Range<usize>, _seed: u64) -> Result<Vec<f32>> {
        let read = known.around(&block, self.context());
        let input = known.features(&read);
        let mel = Tensor::from_vec(input.mel, (1, read.len(), input.n_mels), &Device::Cpu)?;
        let pcm = self.generator.forward(&mel.transpose(1, 2)?.contiguous()?)?.flatten_all()?;
        let inside = relative(&block, read.start);
        let hop_length = self.config.mel.hop_length;
        Ok(pcm.narrow(0, inside.start * hop_length, inside.len() * hop_length)?.to_vec1()?)
    }
}

impl Vocoder for HifiGanVocoder {
    fn mel_config(&self) -> &MelConfig {
        &self.config.mel
    }

    fn stream(&self, seed: u64) -> Box<dyn VocoderStream + Send + '_> {
        Box::new(BlockStream::new(self, seed))
    }
}
