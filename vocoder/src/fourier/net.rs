//! The net of the Fourier vocoder: mel frames to gains and phases of every bin.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, bail};
use candle_nn::VarBuilder;
use paravox_models::layers::{Conv1d, Conv1dConfig, ConvNextBlock, ConvNextConfig, LayerNorm, Linear, LinearConfig};
use paravox_models::mode::Mode;

use super::excitation::ExcitationMaker;
use super::synthesis::Synthesiser;
use super::{Excitation, FourierConfig};

/// Log-mel values of speech, roughly: mean and spread, to bring the input near the unit range.
const MEL_MEAN: f64 = -5.0;
const MEL_SPREAD: f64 = 2.5;
/// ln(200 Hz), about the middle of human F0, and the spread of its logarithm.
const LOG_F0_MEAN: f64 = 5.3;
const LOG_F0_SPREAD: f64 = 0.5;
const EPS: f64 = 1e-6;
/// Added to the power of noise over that of gain 1: about one step of 16 bits.
const NOISE_FLOOR: f32 = 1e-6;

/// conv(mel, log F0, voiced) -> ConvNeXt-like blocks -> LayerNorm -> linear to harmonic log-gain, harmonic phase, noise
/// log-gain, free log-gain and free phase of every bin; then the synthesis from pulse train and noise.
pub struct FourierNet {
    config: FourierConfig,
    conv_in: Conv1d,
    blocks: Vec<ConvNextBlock>,
    norm: LayerNorm,
    head: Linear,
    pub(crate) excitation: ExcitationMaker,
    synthesiser: Synthesiser,
}

impl FourierNet {
    /// Reads `conv_in`, `blocks.N`, `norm` and `head`.
    ///
    /// # Errors
    /// A configuration that makes no sense, or weights that do not fit it.
    pub fn new(config: &FourierConfig, vb: VarBuilder) -> Result<Self> {
        config.check().map_err(candle_core::Error::wrap)?;
        let FourierConfig { width, blocks, kernel, factor, .. } = *config;
        let block = ConvNextConfig { blocks, kernel, factor, dropout: 0.0 };
        Ok(Self {
            conv_in: Conv1d::new(&Conv1dConfig::new(config.mel.n_mels + 2, width, kernel), vb.pp("conv_in"))?,
            blocks: (0..blocks)
                .map(|i| ConvNextBlock::new(width, &block, vb.pp("blocks").pp(i)))
                .collect::<Result<_>>()?,
            norm: LayerNorm::new(width, EPS, vb.pp("norm"))?,
            head: Linear::new(&LinearConfig::new(width, config.parts() * config.bins()), vb.pp("head"))?,
            excitation: ExcitationMaker::new(config),
            synthesiser: Synthesiser::new(config),
            config: config.clone(),
        })
    }

    /// The configuration given to [`FourierNet::new`].
    pub fn config(&self) -> &FourierConfig {
        &self.config
    }

    /// PCM of a batch of stretches of speech, differentiable in the net's weights and in `mel`. Every stretch begins
    /// with phase 0; the noise is that of `seed`.
    ///
    /// # Shapes
    /// - `mel`: (B, T, n_mels) log-mel
    /// - `f0_hz`: (B, T), 0 where unvoiced
    /// - output: (B, hop_length T)
    pub fn forward(&self, mel: &Tensor, f0_hz: &Tensor, seed: u64) -> Result<Tensor> {
        let excitation = self.excite(f0_hz, seed)?;
        self.synthesise(&self.head(&self.hidden(mel, f0_hz)?)?, excitation)
    }

    /// The sources for a batch of F0 (B, T), with the noise of `seed`; without gradient.
    pub fn excite(&self, f0_hz: &Tensor, seed: u64) -> Result<Arc<Excitation>> {
        self.sources(f0_hz, Some(seed))
    }

    /// The pulse train for a batch of F0 (B, T), without noise.
    pub fn pulses(&self, f0_hz: &Tensor) -> Result<Arc<Excitation>> {
        self.sources(f0_hz, None)
    }

    fn sources(&self, f0_hz: &Tensor, seed: Option<u64>) -> Result<Arc<Excitation>> {
        let (_, mel_frames) = f0_hz.dims2()?;
        let values = f0_hz.flatten_all()?.to_vec1::<f32>()?;
        self.excitation.batch(&values, mel_frames, seed).map(Arc::new).map_err(candle_core::Error::wrap)
    }

    /// How far the noise of a head, its free source included, is from that of recordings, in nats a bin: the Itakura-Saito
    /// divergence of its power from theirs, p/q - ln(p/q) - 1, halved, whose least value is that of the likeliest Gaussian
    /// noise. From where q is e^2 times too small it goes on as a straight line.
    ///
    /// # Shapes
    /// - `head`: (B, T, parts bins)
    /// - `noise`: (B, hop_length T), the recordings without their harmonics
    /// - output: a scalar
    pub fn noise_divergence(&self, head: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let (batch, mel_frames, width) = head.dims3()?;
        let bins = self.config.bins();
        let power = self.excitation.noise_power(&noise.flatten_all()?.to_vec1::<f32>()?, mel_frames);
        let log_power: Vec<f32> = power.iter().map(|power| (power + NOISE_FLOOR).ln()).collect();
        let log_power = Tensor::from_vec(log_power, (batch, mel_frames, bins), head.device())?;
        let mut expected = (head.narrow(2, 2 * bins, bins)? * 2.0)?;
        if width == 5 * bins {
            let free = head.narrow(2, 3 * bins, bins)?.affine(2.0, -self.excitation.log_noise_power())?;
            let most = expected.maximum(&free)?.detach();
            expected = ((expected - &most)?.exp()? + (free - &most)?.exp()?)?.log()?.add(&most)?;
        }
        let ratio = (log_power - expected)?;
        let near = ratio.minimum(2.0)?;
        let far = (ratio.maximum(2.0)? - 2.0)?;
        let slope = 2f64.exp() - 1.0;
        (((near.exp()? - near)? - 1.0)? + (far * slope)?)?.mean_all()? * 0.5
    }

    /// What the head reads.
    ///
    /// # Shapes
    /// `mel` (B, T, n_mels) and `f0_hz` (B, T) -> (B, T, width)
    pub fn hidden(&self, mel: &Tensor, f0_hz: &Tensor) -> Result<Tensor> {
        let (batch, mel_frames, n_mels) = mel.dims3()?;
        if n_mels != self.config.mel.n_mels || f0_hz.dims() != [batch, mel_frames] {
            bail!(
                "the vocoder needs mel (B, T, {}) and F0 (B, T), not {:?} and {:?}",
                self.config.mel.n_mels,
                mel.dims(),
                f0_hz.dims()
            );
        }
        let mel = mel.affine(1.0 / MEL_SPREAD, -MEL_MEAN / MEL_SPREAD)?;
        let voiced = f0_hz.gt(0.0)?.to_dtype(DType::F32)?;
        let log_f0 = f0_hz.maximum(1.0)?.log()?.affine(1.0 / LOG_F0_SPREAD, -LOG_F0_MEAN / LOG_F0_SPREAD)?;
        let log_f0 = (log_f0 * &voiced)?;
        let input = Tensor::cat(&[mel, log_f0.unsqueeze(2)?, voiced.unsqueeze(2)?], 2)?;
        let mut xs = self.conv_in.forward(&input)?;
        for block in &self.blocks {
            xs = block.forward(&xs, None, &Mode::Eval)?;
        }
        Ok(xs)
    }

    /// Log-gain and phase of the harmonics, log-gain of the noise, log-gain and phase of the free source in every bin; each
    /// mel frame by itself.
    ///
    /// # Shapes
    /// (B, T, width) -> (B, T, parts bins)
    pub fn head(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head.forward(&self.norm.forward(hidden)?)
    }

    /// PCM of one set of gains and phases; without those of the free source it is silent.
    ///
    /// # Shapes
    /// (B, T, 5 bins) or (B, T, 3 bins) -> (B, hop_length T)
    pub fn synthesise(&self, head: &Tensor, excitation: Arc<Excitation>) -> Result<Tensor> {
        self.synthesiser.forward(head, excitation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stft_loss::MultiResolutionStft;
    use candle_core::{Device, Var};
    use paravox_models::params::Params;

    fn inputs(batch: usize, mel_frames: usize) -> Result<(Tensor, Tensor)> {
        let mel: Vec<f32> = (0..batch * mel_frames * 80).map(|i| -5.0 + 3.0 * (i as f32 * 0.37).sin()).collect();
        let f0: Vec<f32> = (0..batch * mel_frames).map(|i| if i % 9 < 2 { 0.0 } else { 150.0 + i as f32 }).collect();
        Ok((
            Tensor::from_vec(mel, (batch, mel_frames, 80), &Device::Cpu)?,
            Tensor::from_vec(f0, (batch, mel_frames), &Device::Cpu)?,
        ))
    }

    #[test]
    fn has_the_parameters_of_the_recipe_and_the_right_shapes() -> Result<()> {
        let params = Params::new(0, &Device::Cpu);
        let net = FourierNet::new(&FourierConfig::default(), params.builder())?;
        // conv_in 82*7*256+256; a block 8*256 + 2*256 + 256*768+768 + 768*256+256 + 256; norm 512; head 257*3005.
        let block = 8 * 256 + 512 + 257 * 768 + 769 * 256 + 256;
        assert_eq!(params.count(), 82 * 7 * 256 + 256 + 6 * block + 512 + 257 * 3005);
        assert_eq!(params.count() / 10_000, 330);
        let (mel, f0) = inputs(2, 9)?;
        let pcm = net.forward(&mel, &f0, 1)?;
        assert_eq!(pcm.dims(), [2, 2700]);
        assert!(pcm.flatten_all()?.to_vec1::<f32>()?.iter().all(|value| value.is_finite()));
        assert!(net.forward(&mel, &f0.narrow(1, 0, 8)?, 1).is_err());
        Ok(())
    }

    #[test]
    fn every_weight_gets_a_gradient_and_a_step_lowers_the_loss() -> Result<()> {
        let config = FourierConfig { width: 16, blocks: 2, ..FourierConfig::default() };
        let params = Params::new(3, &Device::Cpu);
        let net = FourierNet::new(&config, params.builder())?;
        let (mel, f0) = inputs(2, 20)?;
        let target: Vec<f32> = (0..12_000).map(|i| 0.2 * (i as f32 * 0.05).sin()).collect();
        let target = Tensor::from_vec(target, (2, 6000), &Device::Cpu)?;
        let stft = MultiResolutionStft::default();
        let loss = |net: &FourierNet| stft.forward(&net.forward(&mel, &f0, 5)?, &target);
        let before = loss(&net)?;
        let grads = before.backward()?;
        let mut squared_norm = 0.0;
        for (name, var) in params.vars() {
            let grad = grads.get(&var).unwrap_or_else(|| panic!("{name} has no gradient"));
            let squared = grad.sqr()?.sum_all()?.to_scalar::<f32>()?;
            assert!(squared.is_finite() && squared > 0.0, "{name}: {squared}");
            squared_norm += squared;
        }
        let step = 0.02 / f64::from(squared_norm).sqrt();
        for (_, var) in params.vars() {
            let grad = grads.get(&var).expect("checked above");
            var.set(&(var.as_tensor() - (grad * step)?)?)?;
        }
        let [before, after] = [before.to_scalar::<f32>()?, loss(&net)?.to_scalar::<f32>()?];
        // To first order the loss falls by step times the norm of the gradient.
        let predicted = 0.02 * squared_norm.sqrt();
        assert!((before - after - predicted).abs() < 0.3 * predicted, "{before} to {after}, predicted {predicted}");
        Ok(())
    }

    /// Of noise with a known gain the divergence is least at that gain.
    #[test]
    fn the_likeliest_noise_is_the_true_one() -> Result<()> {
        let config = FourierConfig { width: 8, blocks: 1, ..FourierConfig::default() };
        let net = FourierNet::new(&config, Params::new(4, &Device::Cpu).builder())?;
        let head = |gain: f32| {
            let row = [vec![-100.0f32; 2 * 601], vec![gain; 601]].concat();
            Tensor::from_vec(row.repeat(2 * 60), (2, 60, 3 * 601), &Device::Cpu)
        };
        let unvoiced = Tensor::zeros((2, 60), DType::F32, &Device::Cpu)?;
        let noise = net.synthesise(&head(0.7)?, net.excite(&unvoiced, 3)?)?;
        // The first and last mel frames see beyond the recording.
        let divergence = |gain: f32| net.noise_divergence(&head(gain)?, &noise)?.to_scalar::<f32>().map(f64::from);
        let [low, at, high] = [divergence(0.6)?, divergence(0.69)?, divergence(0.8)?];
        assert!(at < low && at < high && at < 0.1, "{low} {at} {high}");

        let var = Var::from_tensor(&head(-0.9)?)?;
        let grads = net.noise_divergence(var.as_tensor(), &noise)?.backward()?;
        let slope = grads.get(&var).expect("the head is a variable").sum_all()?.to_scalar::<f32>()?;
        let expected = (divergence(-0.89)? - divergence(-0.91)?) / 0.02;
        assert!((f64::from(slope) - expected).abs() < 0.01 * expected.abs(), "{slope} for {expected}");
        Ok(())
    }

    /// White noise that is the free source's has the divergence that it has as the noise's, and a silent free source none.
    #[test]
    fn a_free_source_stands_in_for_noise() -> Result<()> {
        let config = FourierConfig { width: 8, blocks: 1, ..FourierConfig::default() };
        let net = FourierNet::new(&config, Params::new(4, &Device::Cpu).builder())?;
        let head = |gains: &[f32]| {
            let row: Vec<f32> = gains.iter().flat_map(|gain| [*gain; 601]).collect();
            Tensor::from_vec(row.repeat(60), (1, 60, gains.len() * 601), &Device::Cpu)
        };
        let unvoiced = Tensor::zeros((1, 60), DType::F32, &Device::Cpu)?;
        let noise = net.synthesise(&head(&[-99., 0., 0.7])?, net.excite(&unvoiced, 3)?)?;
        let known = net.noise_divergence(&head(&[-99., 0., 0.5])?, &noise)?.to_scalar::<f32>()?;
        let silent = net.noise_divergence(&head(&[-99., 0., 0.5, -99., 0.])?, &noise)?.to_scalar::<f32>()?;
        assert!((known - silent).abs() < 1e-5, "{known} {silent}");
        // Noise of gain 1 is white and of 1/30; through the synthesis' window, whose squares sum to 450, its spectra have
        // that variance times 450.
        let gain = 0.5 + 0.5 * (450.0f32 / 900.0).ln();
        let alone = net.noise_divergence(&head(&[-99., 0., -99., gain, 0.])?, &noise)?.to_scalar::<f32>()?;
        assert!((known - alone).abs() < 1e-4, "{known} {alone}");
        Ok(())
    }

    #[test]
    fn depends_on_the_stated_context_only() -> Result<()> {
        let config = FourierConfig { width: 8, blocks: 2, ..FourierConfig::default() };
        let net = FourierNet::new(&config, Params::new(4, &Device::Cpu).builder())?;
        let (mel, f0) = inputs(1, 40)?;
        let whole = net.hidden(&mel, &f0)?;
        let context = config.net_context();
        assert_eq!(context, 9);
        let part =
            net.hidden(&mel.narrow(1, 20 - context, 2 * context + 1)?, &f0.narrow(1, 20 - context, 2 * context + 1)?)?;
        let difference =
            (whole.narrow(1, 20, 1)? - part.narrow(1, context, 1)?)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(difference < 1e-6, "{difference}");
        Ok(())
    }

    /// Figures for the log; run by hand: cargo test --release -p paravox-vocoder --lib speed -- --ignored --nocapture
    #[test]
    #[ignore = "a measurement"]
    fn speed_of_a_training_step() -> Result<()> {
        let params = Params::new(0, &Device::Cpu);
        let net = FourierNet::new(&FourierConfig::default(), params.builder())?;
        let (mel, f0) = inputs(16, 80)?;
        let target = Tensor::rand(-0.3f32, 0.3, (16, 24_000), &Device::Cpu)?;
        let stft = MultiResolutionStft::default();
        for _ in 0..4 {
            let mut at = std::time::Instant::now();
            let mut lap = |name: &str| {
                eprintln!("{name}: {:.1} ms", at.elapsed().as_secs_f64() * 1e3);
                at = std::time::Instant::now();
            };
            let excitation = net.excite(&f0, 1)?;
            lap("excitation");
            let hidden = net.hidden(&mel, &f0)?;
            lap("blocks");
            let head = net.head(&hidden)?;
            lap("head");
            let pcm = net.synthesise(&head, excitation)?;
            lap("synthesis");
            let loss = stft.forward(&pcm, &target)?;
            lap("loss");
            loss.backward()?;
            lap("backward");
        }
        Ok(())
    }
}
