//! The Fourier vocoder at work: synthesis in blocks of mel frames, whole or streamed.
//!
//! Blocks lie at fixed absolute places, the first ones short so that the first sound comes early. Each is computed from
//! its own mel frames and as many around them as it depends on; noise and phase depend on the place alone. So it is the
//! same computation whenever it is done, and a stream equals a whole synthesis bit for bit.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use candle_nn::VarBuilder;
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::excitation::{ExcitationMaker, Stretch};
use super::{Excitation, FourierConfig, FourierNet};
use crate::error::{Result, VocoderError};
use crate::features::Features;
use crate::mel::MelConfig;
use crate::vocoder::{Vocoder, VocoderStream};

/// Mel frames of the first block; each further one is twice as long, up to `LONGEST_BLOCK`. Short blocks cost more,
/// because the mel frames around them are computed again for each.
const FIRST_BLOCK: usize = 16;
const LONGEST_BLOCK: usize = 128;

/// The default vocoder: a [`FourierNet`] with fixed weights.
pub struct FourierVocoder {
    net: FourierNet,
}

impl FourierVocoder {
    /// Reads the weights of a [`FourierNet`].
    ///
    /// # Errors
    /// [`VocoderError::Config`] if the configuration makes no sense, [`VocoderError::Checkpoint`] if the weights do not
    /// fit it.
    pub fn new(config: &FourierConfig, vb: VarBuilder) -> Result<Self> {
        config.check()?;
        let net = FourierNet::new(config, vb).map_err(|error| VocoderError::Checkpoint(error.to_string()))?;
        Ok(Self { net })
    }

    /// Sizes.
    pub fn config(&self) -> &FourierConfig {
        self.net.config()
    }

    /// Mel frames on each side that the pcm samples of a mel frame depend on.
    pub fn context(&self) -> usize {
        let config = self.config();
        config.overlap() + config.net_context().max(ExcitationMaker::context(config))
    }

    /// The pcm samples of a block, given by absolute numbers of its mel frames, from what `known` holds around it.
    fn block(&self, known: &Known, block: Range<usize>, seed: u64) -> Result<Vec<f32>> {
        let config = self.config();
        let (bins, hop) = (config.bins(), config.mel.hop_length);
        let end = known.first_mel_frame + known.features.mel_frames();
        let around =
            |range: &Range<usize>, context| range.start.saturating_sub(context)..(range.end + context).min(end);
        // Mel frames whose windows reach into the block, and those that the net must read for them.
        let heard = around(&block, config.overlap());
        let read = around(&block, self.context());
        let relative = |range: &Range<usize>, origin: usize| range.start - origin..range.end - origin;

        let input = known.features.slice(relative(&read, known.first_mel_frame));
        let device = &candle_core::Device::Cpu;
        let mel = Tensor::from_vec(input.mel, (1, read.len(), input.n_mels), device)?;
        let f0_hz = Tensor::from_slice(&input.f0_hz, (1, read.len()), device)?;
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
            seed,
        };
        self.net.excitation.fill(&stretch, &mut excitation.harmonic, &mut excitation.noise);
        let pcm = self.net.synthesise(&head, Arc::new(excitation))?.flatten_all()?.to_vec1::<f32>()?;
        let inside = relative(&block, heard.start);
        Ok(pcm[inside.start * hop..inside.end * hop].to_vec())
    }
}

impl Vocoder for FourierVocoder {
    fn mel_config(&self) -> &MelConfig {
        &self.config().mel
    }

    fn stream(&self, seed: u64) -> Box<dyn VocoderStream + Send + '_> {
        Box::new(FourierStream {
            vocoder: self,
            seed,
            known: Known { first_mel_frame: 0, features: Features::empty(self.config().mel.n_mels), phase: Vec::new() },
            last: (0.0, 0.0),
            next_block: 0,
            block_length: FIRST_BLOCK,
            finished: false,
        })
    }
}

/// The mel frames that a stream still needs.
struct Known {
    /// Absolute number of the first one held.
    first_mel_frame: usize,
    features: Features,
    /// Phase of the pulse train at the centre of each.
    phase: Vec<f64>,
}

struct FourierStream<'a> {
    vocoder: &'a FourierVocoder,
    seed: u64,
    known: Known,
    /// Phase and F0 of the last mel frame received.
    last: (f64, f32),
    /// Absolute number of the first mel frame not yet spoken, and the length of the block that begins there.
    next_block: usize,
    block_length: usize,
    finished: bool,
}

impl FourierStream<'_> {
    /// Computes all blocks that are certain by now and forgets what no later one needs.
    fn advance(&mut self) -> Result<Vec<f32>> {
        let (vocoder, seed, context) = (self.vocoder, self.seed, self.vocoder.context());
        let received = self.known.first_mel_frame + self.known.features.mel_frames();
        let mut blocks = Vec::new();
        loop {
            let block = self.next_block..self.next_block + self.block_length;
            if self.finished && block.start < received {
                blocks.push(block.start..block.end.min(received));
            } else if !self.finished && block.end + context <= received {
                blocks.push(block.clone());
            } else {
                break;
            }
            self.next_block = block.end;
            self.block_length = (2 * self.block_length).min(LONGEST_BLOCK);
        }
        let known = &self.known;
        let parts: Result<Vec<_>> = blocks.into_par_iter().map(|block| vocoder.block(known, block, seed)).collect();
        let pcm = parts?.concat();
        let unneeded = self.next_block.saturating_sub(context).saturating_sub(self.known.first_mel_frame);
        let unneeded = unneeded.min(self.known.features.mel_frames());
        let Features { n_mels, mel, f0_hz } = &mut self.known.features;
        mel.drain(..unneeded * *n_mels);
        f0_hz.drain(..unneeded);
        self.known.phase.drain(..unneeded);
        self.known.first_mel_frame += unneeded;
        Ok(pcm)
    }
}

impl VocoderStream for FourierStream<'_> {
    fn push(&mut self, features: &Features) -> Result<Vec<f32>> {
        if self.finished {
            return Err(VocoderError::input("the utterance has ended: start another stream for more mel frames"));
        }
        features.check()?;
        self.known.features.append(features)?;
        for &f0 in &features.f0_hz {
            self.last = (self.vocoder.net.excitation.pulses.next_phase(self.last, f0), f0);
            self.known.phase.push(self.last.0);
        }
        self.advance()
    }

    fn finish(&mut self) -> Result<Vec<f32>> {
        if self.finished {
            return Ok(Vec::new());
        }
        self.finished = true;
        self.advance()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use paravox_models::params::Params;
    use rand::{Rng, SeedableRng};

    fn features(mel_frames: usize) -> Features {
        let mel = (0..mel_frames * 80).map(|i| -5.0 + 3.0 * (i as f32 * 0.37).sin()).collect();
        let f0 =
            (0..mel_frames).map(|i| if i % 29 < 7 { 0.0 } else { 150.0 + 60.0 * (i as f32 * 0.1).sin() }).collect();
        Features::new(80, mel, f0).expect("sizes agree")
    }

    fn small() -> (FourierConfig, Params) {
        (FourierConfig { width: 16, blocks: 3, ..FourierConfig::default() }, Params::new(4, &Device::Cpu))
    }

    #[test]
    fn streamed_equals_whole_bit_for_bit() -> Result<()> {
        let (config, params) = small();
        let vocoder = FourierVocoder::new(&config, params.builder())?;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for mel_frames in [0, 1, 5, 16, 17, 47, 300] {
            let features = features(mel_frames);
            let whole = vocoder.synthesise(&features, 7)?;
            assert_eq!(whole.len(), 300 * mel_frames);
            for longest in [1, 9, 64] {
                let mut stream = vocoder.stream(7);
                let (mut pcm, mut at) = (Vec::new(), 0);
                while at < mel_frames {
                    let next = at + rng.random_range(0..=longest);
                    pcm.extend(stream.push(&features.slice(at..next))?);
                    // No more is held back than the longest block and its context.
                    assert!(at < pcm.len() / 300 + LONGEST_BLOCK + vocoder.context());
                    at = next;
                }
                pcm.extend(stream.finish()?);
                assert!(pcm == whole, "{mel_frames} mel frames in pushes of up to {longest}");
                assert!(stream.finish()?.is_empty());
                assert!(stream.push(&features).is_err());
            }
        }
        Ok(())
    }

    #[test]
    fn equals_one_pass_of_the_net() -> Result<()> {
        let (config, params) = small();
        let vocoder = FourierVocoder::new(&config, params.builder())?;
        let features = features(200);
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
    fn the_number_of_threads_and_the_time_do_not_show_but_the_seed_does() -> Result<()> {
        // Full size: small nets may fit one tile of every kernel.
        let (config, params) = (FourierConfig::default(), Params::new(4, &Device::Cpu));
        let vocoder = FourierVocoder::new(&config, params.builder())?;
        let features = features(150);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
            pool.install(|| vocoder.synthesise(&features, 7))
        };
        let one = on(1)?;
        assert!(one == on(2)? && one == on(5)?);
        assert!(one != vocoder.synthesise(&features, 8)?);
        Ok(())
    }

    #[test]
    fn the_first_sound_needs_few_mel_frames() -> Result<()> {
        let (config, params) = small();
        let vocoder = FourierVocoder::new(&config, params.builder())?;
        let mut stream = vocoder.stream(0);
        assert_eq!(vocoder.context(), 14);
        assert!(stream.push(&features(29))?.is_empty());
        assert_eq!(stream.push(&features(1))?.len(), 300 * FIRST_BLOCK);
        Ok(())
    }

    #[test]
    fn refuses_features_that_do_not_fit() -> Result<()> {
        let (config, params) = small();
        let vocoder = FourierVocoder::new(&config, params.builder())?;
        let mut stream = vocoder.stream(0);
        let bad = Features { n_mels: 80, mel: vec![f32::NAN; 80], f0_hz: vec![100.0] };
        assert!(matches!(stream.push(&bad), Err(VocoderError::Input(_))));
        let narrow = Features { n_mels: 40, mel: vec![0.0; 40], f0_hz: vec![100.0] };
        assert!(matches!(stream.push(&narrow), Err(VocoderError::Input(_))));
        // Nothing of them was taken.
        assert_eq!(stream.push(&features(2))?.len() + stream.finish()?.len(), 600);
        Ok(())
    }

    /// cargo test --release -p paravox-vocoder --lib speed -- --ignored --nocapture
    #[test]
    #[ignore = "a measurement"]
    fn speed_of_synthesis() -> Result<()> {
        let vocoder = FourierVocoder::new(&FourierConfig::default(), Params::new(4, &Device::Cpu).builder())?;
        let features = features(800);
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
