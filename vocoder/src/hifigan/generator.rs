//! HiFi-GAN's generator.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use paravox_models::ops::{self, Conv1dOptions, ConvTranspose1dOptions, SequenceLayout};

use super::weight_norm::NormedWeight;
use super::{HifiGanConfig, ResBlockKind};

/// Slope of the leaky ReLUs.
const SLOPE: f64 = 0.1;
/// Slope of the last one: the published code leaves PyTorch's default there, so the weights expect it.
const LAST_SLOPE: f64 = 0.01;
/// Standard deviation of fresh weights.
const SPREAD: f64 = 0.01;
/// Taps of the first and the last convolution.
pub(crate) const OUTER_KERNEL: usize = 7;

/// A convolution with weight normalisation that keeps the length.
#[derive(Debug, Clone)]
struct Conv {
    weight: NormedWeight,
    bias: Tensor,
    options: Conv1dOptions,
}

impl Conv {
    /// `shape` is (outputs, inputs, kernel).
    fn new(shape: (usize, usize, usize), dilation: usize, vb: VarBuilder) -> Result<Self> {
        let options = Conv1dOptions {
            padding: dilation * (shape.2 - 1) / 2,
            dilation,
            layout: SequenceLayout::ChannelsFirst,
            ..Default::default()
        };
        let bias = vb.get_with_hints(shape.0, "bias", Init::Const(0.0))?;
        Ok(Self { weight: NormedWeight::new(shape, SPREAD, &vb)?, bias, options })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        ops::conv1d(xs, &self.weight.weight()?, Some(&self.bias), &self.options)
    }

    fn fold(&mut self) -> Result<()> {
        self.weight = self.weight.folded()?;
        Ok(())
    }
}

/// A transposed convolution with weight normalisation: `stride` outputs for each input.
#[derive(Debug, Clone)]
struct Upsample {
    weight: NormedWeight,
    bias: Tensor,
    options: ConvTranspose1dOptions,
}

impl Upsample {
    /// `shape` is (inputs, outputs, kernel).
    fn new(shape: (usize, usize, usize), stride: usize, vb: VarBuilder) -> Result<Self> {
        let options = ConvTranspose1dOptions {
            stride,
            padding: (shape.2 - stride) / 2,
            layout: SequenceLayout::ChannelsFirst,
            ..Default::default()
        };
        let bias = vb.get_with_hints(shape.1, "bias", Init::Const(0.0))?;
        Ok(Self { weight: NormedWeight::new(shape, SPREAD, &vb)?, bias, options })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        ops::conv_transpose1d(xs, &self.weight.weight()?, Some(&self.bias), &self.options)
    }
}

/// Steps of x + convolutions(x).
#[derive(Debug, Clone)]
struct ResBlock {
    /// Each step's convolutions, in order, a leaky ReLU before each.
    steps: Vec<Vec<Conv>>,
}

impl ResBlock {
    fn new(kind: ResBlockKind, channels: usize, kernel: usize, dilations: &[usize], vb: &VarBuilder) -> Result<Self> {
        let conv =
            |name: &str, step: usize, dilation| Conv::new((channels, channels, kernel), dilation, vb.pp(name).pp(step));
        let step = |(step, &dilation): (usize, &usize)| match kind {
            ResBlockKind::One => Ok(vec![conv("convs1", step, dilation)?, conv("convs2", step, 1)?]),
            ResBlockKind::Two => Ok(vec![conv("convs", step, dilation)?]),
        };
        Ok(Self { steps: dilations.iter().enumerate().map(step).collect::<Result<_>>()? })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let mut xs = xs.clone();
        for convs in &self.steps {
            let mut inner = xs.clone();
            for conv in convs {
                inner = conv.forward(&ops::leaky_relu(&inner, SLOPE)?)?;
            }
            xs = (inner + xs)?;
        }
        Ok(xs)
    }
}

/// Mel frames to PCM by upsampling.
#[derive(Debug, Clone)]
pub struct Generator {
    n_mels: usize,
    conv_pre: Conv,
    ups: Vec<Upsample>,
    /// In the published order: all of the first upsampling, then all of the second, ...
    resblocks: Vec<ResBlock>,
    conv_post: Conv,
}

impl Generator {
    /// Reads the published tensors: `conv_pre`, `ups.N`, `resblocks.N.convs1.M` and `convs2.M` (kind two: `convs.M`) and
    /// `conv_post`, each with `weight_g`, `weight_v` and `bias` (or `weight` and `bias`).
    ///
    /// # Errors
    /// A configuration that makes no sense, or tensors that are missing or have other shapes.
    pub fn new(config: &HifiGanConfig, vb: VarBuilder) -> Result<Self> {
        config.check().map_err(candle_core::Error::wrap)?;
        let n_mels = config.mel.n_mels;
        let first = config.upsample_initial_channel;
        let mut ups = Vec::new();
        let mut resblocks = Vec::new();
        for (stage, (&rate, &kernel)) in config.upsample_rates.iter().zip(&config.upsample_kernel_sizes).enumerate() {
            let channels = config.channels(stage);
            ups.push(Upsample::new((first >> stage, channels, kernel), rate, vb.pp("ups").pp(stage))?);
            for (kernel, dilations) in config.resblock_kernel_sizes.iter().zip(&config.resblock_dilation_sizes) {
                let vb = vb.pp("resblocks").pp(resblocks.len());
                resblocks.push(ResBlock::new(config.resblock, channels, *kernel, dilations, &vb)?);
            }
        }
        let last = config.channels(config.upsample_rates.len() - 1);
        Ok(Self {
            n_mels,
            conv_pre: Conv::new((first, n_mels, OUTER_KERNEL), 1, vb.pp("conv_pre"))?,
            ups,
            resblocks,
            conv_post: Conv::new((1, last, OUTER_KERNEL), 1, vb.pp("conv_post"))?,
        })
    }

    /// The same generator with its weight normalisation worked out once: faster, without gradients.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn folded(mut self) -> Result<Self> {
        self.conv_pre.fold()?;
        self.conv_post.fold()?;
        for up in &mut self.ups {
            up.weight = up.weight.folded()?;
        }
        self.resblocks.iter_mut().flat_map(|block| block.steps.iter_mut().flatten()).try_for_each(Conv::fold)?;
        Ok(self)
    }

    /// # Shapes
    /// - `mel`: (B, n_mels, T) log-mel
    /// - output: (B, 1, hop_length T), -1..1
    pub fn forward(&self, mel: &Tensor) -> Result<Tensor> {
        let (_, n_mels, _) = mel.dims3()?;
        if n_mels != self.n_mels {
            bail!("HiFi-GAN needs mel (B, {}, T), not {:?}", self.n_mels, mel.dims());
        }
        let parallel = self.resblocks.len() / self.ups.len();
        let mut xs = self.conv_pre.forward(mel)?;
        for (up, resblocks) in self.ups.iter().zip(self.resblocks.chunks_exact(parallel)) {
            xs = up.forward(&ops::leaky_relu(&xs, SLOPE)?)?;
            let mut sum = resblocks[0].forward(&xs)?;
            for block in &resblocks[1..] {
                sum = (sum + block.forward(&xs)?)?;
            }
            xs = (sum / parallel as f64)?;
        }
        ops::tanh(&self.conv_post.forward(&ops::leaky_relu(&xs, LAST_SLOPE)?)?)
    }
}
