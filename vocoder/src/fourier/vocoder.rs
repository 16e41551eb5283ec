//! The Fourier vocoder at work: synthesis in blocks of mel frames, whole or streamed.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use realfft::num_complex::Complex32;

use super::excitation::{ExcitationMaker, Stretch};
use super::{Excitation, FourierConfig, FourierNet};
use crate::blocks::{BlockStream, BlockSynthesis, Known, relative};
use crate::error::{Result, VocoderError};
use crate::mel::MelConfig;
use crate::vocoder::{Vocoder, VocoderStream};

/// The default vocoder: a [`FourierNet`] with fixed weights.
pub struct FourierVocoder {
    net: FourierNet,
    /// Where the net runs.
    device: Device,
}

impl FourierVocoder {
    /// Reads the weights of a [`FourierNet`].
    ///
    /// # Errors
    /// [`VocoderError::Config`] if the configuration makes no sense, [`VocoderError::Checkpoint`] if the weights do not
    /// fit it.
    pub fn new(config: &FourierConfig, vb: VarBuilder) -> Result<Self> {
        config.check()?;
        let device = vb.device().clone();
        let net = FourierNet::new(config, vb).map_err(|error| VocoderError::Checkpoint(error.to_string()))?;
        Ok(Self { net, device })
    }

    /// Sizes.
    pub fn config(&self) -> &FourierConfig {
        self.net.config()
    }
}

impl BlockSynthesis for FourierVocoder {
    fn n_mels(&self) -> usize {
        self.config().mel.n_mels
    }

    fn context(&self) -> usize {
        let config = self.config();
        config.overlap() + config.net_context().max(ExcitationMaker::context(config))
    }

    fn next_phase(&self, before: (f64, f32), f0_hz: f32) -> f64 {
        self.net.excitation.pulses.next_phase(before, f0_hz)
    }

    fn block(&self, known: &Known, block: Range<usize>, seed: u64) -> Result<Vec<f32>> {
        let config = self.config();
        let (bins, hop_length) = (config.bins(), config.mel.hop_length);
        // Mel frames whose windows reach into the block, and those that the net must read for them.
        let heard = known.around(&block, config.overlap());
        let read = known.around(&block, self.context());

        let input = known.features(&read);
        let mel = Tensor::from_vec(input.mel, (1, read.len(), input.n_mels), &self.device)?;
        let f0_hz = Tensor::from_slice(&input.f0_hz, (1, read.len()), &self.device)?;
        let hidden = self.net.hidden(&mel, &f0_hz)?.narrow(1, heard.start - read.start, heard.len())?;
        let head = self.net.head(&hidden)?;

        let mut excitation = Excitation {
            batch: 1,
            mel_frames: heard.len(),
            bins,
            harmonic: vec![Complex32::default(); heard.len() * bins],
            noise: vec![Complex32::default(); heard.len() * bins],
        };
        let stretch = Stretch {
            f0_hz: &input.f0_hz,
            phase: &known.phase[relative(&read, known.first_mel_frame)],
            first_mel_frame: read.start,
            wanted: relative(&heard, read.start),
            seed: Some(seed),
        };
        self.net.excitation.fill(&stretch, &mut excitation.harmonic, &mut excitation.noise);
        let pcm = self.net.synthesise(&head, Arc::new(excitation))?.flatten_all()?.to_vec1::<f32>()?;
        let inside = relative(&block, heard.start);
        Ok(pcm[inside.start * hop_length..inside.end * hop_length].to_vec())
    }
}

impl Vocoder for FourierVocoder {
    fn mel_config(&self) -> &MelConfig {
        &self.config().mel
    }

    fn stream(&self, seed: u64) -> Box<dyn VocoderStream + Send + '_> {
        Box::new(BlockStream::new(self, seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{FIRST_BLOCK, checks};
    use crate::features::Features;
    use paravox_models::params::Params;

    fn small() -> Result<FourierVocoder> {
        let config = FourierConfig { width: 16, blocks: 3, ..FourierConfig::default() };
        FourierVocoder::new(&config, Params::new(4, &Device::Cpu).builder())
    }

    fn full() -> Result<FourierVocoder> {
        FourierVocoder::new(&FourierConfig::default(), Params::new(4, &Device::Cpu).builder())
    }

    #[test]
    fn streamed_equals_whole_bit_for_bit() -> Result<()> {
        checks::streamed_equals_whole(&small()?, 14, &[0, 1, 5, 16, 17, 47, 300])
    }

    #[test]
    fn the_number_of_threads_does_not_show_but_the_seed_does() -> Result<()> {
        // Full size: small nets may fit one tile of every kernel.
        let vocoder = full()?;
        checks::threads_do_not_show(&vocoder, 150)?;
        let features = checks::features(20);
        assert!(vocoder.synthesise(&features, 7)? != vocoder.synthesise(&features, 8)?);
        Ok(())
    }

    #[test]
    fn equals_one_pass_of_the_net() -> Result<()> {
        let vocoder = small()?;
        let features = checks::features(200);
        let blocks = vocoder.synthesise(&features, 7)?;
        let mel = Tensor::from_slice(&features.mel, (1, 200, 80), &Device::Cpu)?;
        let f0 = Tensor::from_slice(&features.f0_hz, (1, 200), &Device::Cpu)?;
        let pcm = vocoder.net.forward(&mel, &f0, 7)?.flatten_all()?.to_vec1::<f32>()?;
        let loudest = pcm.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let worst = pcm.iter().zip(&blocks).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5 * loudest, "{worst} of {loudest}");
        Ok(())
    }

    #[test]
    fn the_first_sound_needs_few_mel_frames() -> Result<()> {
        let vocoder = small()?;
        let mut stream = vocoder.stream(0);
        assert_eq!(vocoder.context(), 14);
        assert!(stream.push(&checks::features(29))?.is_empty());
        assert_eq!(stream.push(&checks::features(1))?.len(), 300 * FIRST_BLOCK);
        Ok(())
    }

    #[test]
    fn refuses_features_that_do_not_fit() -> Result<()> {
        let vocoder = small()?;
        let mut stream = vocoder.stream(0);
        let bad = Features { n_mels: 80, mel: vec![f32::NAN; 80], f0_hz: vec![100.0] };
        assert!(matches!(stream.push(&bad), Err(VocoderError::Input(_))));
        let narrow = Features { n_mels: 40, mel: vec![0.0; 40], f0_hz: vec![100.0] };
        assert!(matches!(stream.push(&narrow), Err(VocoderError::Input(_))));
        // Nothing of them was taken.
        assert_eq!(stream.push(&checks::features(2))?.len() + stream.finish()?.len(), 600);
        Ok(())
    }

    /// cargo test --release -p paravox-vocoder --lib speed -- --ignored --nocapture
    #[test]
    #[ignore = "a measurement"]
    fn speed_of_synthesis() -> Result<()> {
        let vocoder = full()?;
        let features = checks::features(800);
        for _ in 0..4 {
            let at = std::time::Instant::now();
            let mut stream = vocoder.stream(0);
            stream.push(&features.slice(0..39))?;
            let first = at.elapsed();
            let at = std::time::Instant::now();
            vocoder.synthesise(&features, 1)?;
            eprintln!("first block {first:.1?}, 10 s of speech {:.1?}", at.elapsed());
        }
        Ok(())
    }
}
