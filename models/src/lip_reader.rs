//! The lip reader: pictures of lips to the phonemes that they show, step by step.
//!
//! Trained without times (connectionist temporal classification, see [`crate::losses::ctc`]): the blank is the silence
//! between words, so that every step says either a phoneme or that none is spoken. Three uses: where in a silent film each
//! phoneme of a known text is, how well generated lips can be read, and features that tell real lips from generated ones.
//!
//! A net trained so likes to answer with blanks and a single spike for each phoneme, which is no alignment. Dividing each
//! probability by a power of the class's mean, the prior, takes the advantage from the blank ("Less Peaky and More Accurate
//! CTC Forced Alignment by Label Priors", Huang et al. 2024).

use candle_core::{Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use crate::layers::{BatchNorm, Conv2d, Conv2dConfig, ConvNextBlock, ConvNextConfig, LayerNorm, Linear, LinearConfig};
use crate::mode::{Mode, dropout};
use crate::ops;

/// Height of the pictures that a lip reader sees, in pixels.
pub const VIEW_HEIGHT: usize = 40;
/// Width of the pictures that a lip reader sees, in pixels.
pub const VIEW_WIDTH: usize = 64;

const EPS: f64 = 1e-6;
/// How far the prior moves to each batch's mean.
const MOMENTUM: f64 = 0.02;
/// No class counts as rarer than this.
const RAREST: f64 = 1e-3;

/// What a [`LipReader`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LipReaderConfig {
    /// Classes; class 0 is the blank.
    pub phonemes: usize,
    /// Steps of the output for each video frame.
    pub steps: usize,
    /// Power of the prior that probabilities are divided by, in training and in alignment; 0 for plain CTC.
    pub prior: f64,
    /// Video frames on each side of one that its convolutions see beside it.
    pub neighbours: usize,
    /// Channels of the convolutions, each of which halves height and width.
    pub levels: Vec<usize>,
    /// Width of the blocks over time, and of the features.
    pub channels: usize,
    /// Dropout of what the convolutions see.
    pub dropout: f64,
    /// The blocks over time.
    pub stack: ConvNextConfig,
}

/// What a [`LipReader`] says of films.
#[derive(Debug, Clone)]
pub struct Reading {
    /// (B, T, channels): what each video frame shows, with its surroundings.
    pub features: Tensor,
    /// (B, T * steps, phonemes): natural logarithms of probabilities.
    pub log_probabilities: Tensor,
}

/// Strided convolutions over each picture and its neighbours, then ConvNeXt blocks over time.
#[derive(Debug, Clone)]
pub struct LipReader {
    levels: Vec<(Conv2d, BatchNorm)>,
    input: Linear,
    blocks: Vec<ConvNextBlock>,
    norm: LayerNorm,
    output: Linear,
    /// (phonemes): mean probability of each class in training.
    prior: Var,
    config: LipReaderConfig,
}

impl LipReader {
    /// Reads `level.N.{conv,norm}`, `input`, `block.N`, `norm`, `output` and `prior.running_mean`.
    pub fn new(cfg: &LipReaderConfig, vb: VarBuilder) -> Result<Self> {
        let mut inputs = 2 * cfg.neighbours + 1;
        let (mut height, mut width) = (VIEW_HEIGHT, VIEW_WIDTH);
        let mut levels = Vec::with_capacity(cfg.levels.len());
        for (i, &outputs) in cfg.levels.iter().enumerate() {
            // The first sees pixels: a wider look costs little there.
            let conv =
                Conv2dConfig { stride: [2, 2], ..Conv2dConfig::same(inputs, outputs, if i == 0 { 5 } else { 3 }) };
            let vb = vb.pp("level").pp(i);
            levels.push((Conv2d::new(&conv, vb.pp("conv"))?, BatchNorm::new(outputs, vb.pp("norm"))?));
            (inputs, height, width) = (outputs, height.div_ceil(2), width.div_ceil(2));
        }
        let first = Init::Const(1. / cfg.phonemes as f64);
        Ok(Self {
            levels,
            input: Linear::new(&LinearConfig::new(inputs * height * width, cfg.channels), vb.pp("input"))?,
            blocks: cfg.stack.build(cfg.channels, vb.pp("block"))?,
            norm: LayerNorm::new(cfg.channels, EPS, vb.pp("norm"))?,
            output: Linear::new(&LinearConfig::new(cfg.channels, cfg.steps * cfg.phonemes), vb.pp("output"))?,
            // In training this is the variable of `Params` itself, so that a checkpoint holds it.
            prior: Var::from_tensor(&vb.pp("prior").get_with_hints(cfg.phonemes, "running_mean", first)?)?,
            config: cfg.clone(),
        })
    }

    /// # Shapes
    /// - `views`: (B, T, 40, 64), grey, of mean 0 and variance 1 over each film
    /// - `mask`: (B, T), 1 where a film has video frames; what is said of padded positions has no meaning
    pub fn forward(&self, views: &Tensor, mask: Option<&Tensor>, mode: &Mode) -> Result<Reading> {
        let (films, length, height, width) = views.dims4()?;
        let LipReaderConfig { phonemes, steps, neighbours, .. } = self.config;
        let padded = views.pad_with_same(1, neighbours, neighbours)?;
        let shifted = (0..=2 * neighbours).map(|d| padded.narrow(1, d, length)).collect::<Result<Vec<_>>>()?;
        let mut xs = Tensor::stack(&shifted, 2)?.reshape((films * length, 2 * neighbours + 1, height, width))?;
        for (conv, norm) in &self.levels {
            xs = ops::relu(&norm.forward(&conv.forward(&xs)?, mode)?)?;
        }
        let xs = dropout(&xs.flatten_from(1)?, self.config.dropout, mode)?;
        let mut xs = self.input.forward(&xs)?.reshape((films, length, ()))?;
        for block in &self.blocks {
            xs = block.forward(&xs, mask, mode)?;
        }
        let features = self.norm.forward(&xs)?;
        let logits = self.output.forward(&features)?.reshape((films, length * steps, phonemes))?;
        Ok(Reading { features, log_probabilities: candle_nn::ops::log_softmax(&logits, 2)? })
    }

    /// Log probabilities less the configured power of the prior: how well each step fits each class, whatever its share of
    /// all steps.
    ///
    /// # Shapes
    /// - `log_probabilities`: (B, T * steps, phonemes); output the same
    pub fn scores(&self, log_probabilities: &Tensor) -> Result<Tensor> {
        let prior = (self.prior.as_detached_tensor().maximum(RAREST)?.log()? * self.config.prior)?;
        log_probabilities.broadcast_sub(&prior)
    }

    /// Moves the prior towards a batch's mean probabilities.
    ///
    /// # Shapes
    /// - `log_probabilities`: (N, phonemes), those of padded positions left out
    pub fn follow_prior(&self, log_probabilities: &Tensor) -> Result<()> {
        let mean = log_probabilities.detach().exp()?.mean(0)?;
        self.prior.set(&((self.prior.as_detached_tensor() * (1. - MOMENTUM))? + (mean * MOMENTUM)?)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::checks::{check_gradients, difference, noise};
    use crate::config::preset;
    use crate::losses::{CtcTarget, ctc};
    use crate::mode::DropoutRng;
    use crate::params::Params;

    fn tiny() -> LipReaderConfig {
        let stack = ConvNextConfig { blocks: 1, kernel: 3, factor: 1, dropout: 0.1 };
        LipReaderConfig {
            phonemes: 4,
            steps: 2,
            prior: 0.5,
            neighbours: 1,
            levels: vec![2, 2, 3],
            channels: 6,
            dropout: 0.1,
            stack,
        }
    }

    #[test]
    fn the_preset_gives_probabilities_for_every_step() {
        let config: LipReaderConfig = preset("reader-light").unwrap();
        let params = Params::new(0, &Device::Cpu);
        let net = LipReader::new(&config, params.builder()).unwrap();
        let views = noise((2, 3, VIEW_HEIGHT, VIEW_WIDTH), 1);
        let reading = net.forward(&views, None, &Mode::Eval).unwrap();
        assert_eq!(reading.features.dims(), [2, 3, config.channels]);
        assert_eq!(reading.log_probabilities.dims(), [2, 6, config.phonemes]);
        let sums = reading.log_probabilities.exp().unwrap().sum(2).unwrap();
        assert!(difference(&sums, &sums.ones_like().unwrap()) < 1e-5);
        assert!(params.count() < 2_000_000, "{}", params.count());
    }

    #[test]
    fn what_is_padded_changes_nothing() {
        let params = Params::new(3, &Device::Cpu);
        let net = LipReader::new(&tiny(), params.builder()).unwrap();
        let views = noise((1, 5, VIEW_HEIGHT, VIEW_WIDTH), 2);
        let alone = net.forward(&views, None, &Mode::Eval).unwrap();
        let last = views.narrow(1, 4, 1).unwrap();
        let longer = Tensor::cat(&[&views, &last, &last], 1).unwrap();
        let mask = Tensor::new(&[[1f32, 1., 1., 1., 1., 0., 0.]], &Device::Cpu).unwrap();
        let padded = net.forward(&longer, Some(&mask), &Mode::Eval).unwrap();
        let padded = padded.log_probabilities.narrow(1, 0, 10).unwrap();
        assert!(difference(&padded, &alone.log_probabilities) < 1e-5);
    }

    #[test]
    fn the_prior_follows_the_answers_and_makes_rare_classes_as_good_as_common_ones() {
        let params = Params::new(3, &Device::Cpu);
        let net = LipReader::new(&tiny(), params.builder()).unwrap();
        let answers = Tensor::new(&[[0.64f32, 0.16, 0.16, 0.04]], &Device::Cpu).unwrap().log().unwrap();
        for _ in 0..400 {
            net.follow_prior(&answers).unwrap();
        }
        let scores = net.scores(&answers.unsqueeze(0).unwrap()).unwrap().exp().unwrap();
        let scores = scores.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // Each probability over its own square root.
        for (score, expected) in scores.iter().zip([0.8, 0.4, 0.4, 0.2]) {
            assert!((score - expected).abs() < 1e-3, "{scores:?}");
        }
        assert!(params.trainable().iter().all(|(name, _)| !name.starts_with("prior")));
    }

    #[test]
    fn gradients_match_finite_differences() {
        let params = Params::new(7, &Device::Cpu);
        let net = LipReader::new(&tiny(), params.builder()).unwrap();
        let views = noise((2, 4, VIEW_HEIGHT, VIEW_WIDTH), 5);
        let compared = check_gradients(&params, || {
            let rng = DropoutRng::new(1);
            let reading = net.forward(&views, None, &Mode::Train(&rng))?;
            ctc(&net.scores(&reading.log_probabilities)?, &[8, 8], &[vec![1, 2, 2], vec![3, 1]].map(CtcTarget::new), 0)
        });
        assert!(compared > 10, "{compared}");
    }
}
