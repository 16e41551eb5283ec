//! The image decoder: a motion vector and an identity to one image of lips (ParaLip table 6).
//!
//! Each convolution reads its input and the identity's map of that size, concatenated. A convolution of a concatenation
//! is the sum of the convolutions of its parts, and the identity's part is the same for all images of a sentence: it is
//! computed once for each identity, in training too, and never for each image.

mod bytes;
mod finish;
mod in_bytes;
mod plan;
mod prepared;
mod sharpen;
pub mod sharpness;

use std::sync::{Arc, OnceLock};

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::identity_encoder::{Identity, IdentityConfig};
use crate::layers::{BatchNorm, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Linear, LinearConfig};
use crate::mode::Mode;
use crate::ops;
use in_bytes::InBytes;
use plan::Plan;

pub use bytes::to_bytes;
pub use prepared::PreparedIdentity;

/// What an [`ImageDecoder`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// Channels of the first map, which is as large as the identity's smallest.
    pub base_channels: usize,
    /// How maps grow to the image.
    pub stack: ImageStack,
    /// How sharp the images of a prepared person are made, as a share of that person's own picture: the fine detail that
    /// training took is given back. Default 0, which leaves images as they are.
    #[serde(default)]
    pub sharpness: f64,
}

/// The kinds of steps from the first map to the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ImageStack {
    /// Sub-pixel convolutions (Shi et al. 2016), a sigmoid at the end: the light preset.
    PixelShuffle {
        /// Channels after each doubling; one more doubling makes the image.
        channels: Vec<usize>,
        /// Taps in each direction; odd.
        kernel: usize,
        /// Whether the last convolution also reads the identity image, its 2x2 pixels folded into channels.
        pixels: bool,
    },
    /// Transposed convolutions, then plain ones at full size, and tanh at the end: as published.
    Transposed {
        /// Channels after each doubling.
        channels: Vec<usize>,
        /// Taps in each direction; odd.
        kernel: usize,
        /// Channels of the plain convolutions at full size before the last.
        tail: Vec<usize>,
    },
}

/// One convolution: its input's and the identity's share, BatchNorm, and what follows.
#[derive(Debug, Clone)]
struct Stage {
    conv: StageConv,
    /// Channels that come from the stage before; the others are the identity's.
    inputs: usize,
    norm: Option<BatchNorm>,
    /// Whether 2x2 channels become 2x2 pixels after the activation.
    shuffle: bool,
}

#[derive(Debug, Clone)]
enum StageConv {
    Same(Conv2d),
    Doubling(ConvTranspose2d),
}

/// What the last stage's output passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Sigmoid,
    /// Trained on pixels of 0..1 all the same; what is below 0 is cut off in inference, as published.
    Tanh,
}

/// Decodes images one by one: no image depends on another.
#[derive(Debug, Clone)]
pub struct ImageDecoder {
    input: Linear,
    /// Width of the identity's share of the input vector, which comes first.
    identity_width: usize,
    /// (channels, height, width) of the first map.
    base: [usize; 3],
    stages: Vec<Stage>,
    output: Output,
    /// Whether the last stage reads the identity image.
    pixels: bool,
    sharpness: f64,
    /// The same in bytes; `None` where that cannot be. Clones share it.
    in_bytes: Arc<OnceLock<Option<Arc<InBytes>>>>,
}

impl ImageDecoder {
    /// Reads `input` and `stage.N.{conv,norm}`.
    ///
    /// # Errors
    /// A stack whose doublings do not lead from the identity's smallest map to the image.
    pub fn new(cfg: &ImageConfig, identity: &IdentityConfig, motion_width: usize, vb: VarBuilder) -> Result<Self> {
        let plan = Plan::new(cfg, identity)?;
        let stages = plan.stages.iter().enumerate().map(|(i, stage)| {
            let vb = vb.pp("stage").pp(i);
            let inputs = stage.inputs + stage.identity_channels;
            let conv = match stage.doubling {
                true => {
                    let cfg = ConvTranspose2dConfig { inputs, outputs: stage.outputs, kernel: stage.kernel };
                    StageConv::Doubling(ConvTranspose2d::new(&cfg, vb.pp("conv"))?)
                }
                false => {
                    let cfg = Conv2dConfig::same(inputs, stage.outputs, stage.kernel);
                    StageConv::Same(Conv2d::new(&cfg, vb.pp("conv"))?)
                }
            };
            let norm = stage.norm.then(|| BatchNorm::new(stage.outputs, vb.pp("norm"))).transpose()?;
            Ok(Stage { conv, inputs: stage.inputs, norm, shuffle: stage.shuffle })
        });
        let [channels, height, width] = plan.base;
        let input = LinearConfig::new(identity.vector + motion_width, channels * height * width);
        Ok(Self {
            input: Linear::new(&input, vb.pp("input"))?,
            identity_width: identity.vector,
            base: plan.base,
            stages: stages.collect::<Result<_>>()?,
            output: plan.output,
            pixels: plan.pixels,
            sharpness: cfg.sharpness,
            in_bytes: Arc::default(),
        })
    }

    /// # Shapes
    /// - `motion`: (N, motion width)
    /// - `owner`: (N) u32, the index of each image's person in the identity's batch
    /// - output: (N, 3, 80, 160); in 0..1 but for the published stack in training, whose tanh may go below
    ///
    /// # Errors
    /// An owner outside the identity's batch.
    pub fn forward(&self, motion: &Tensor, owner: &Tensor, identity: &Identity, mode: &Mode) -> Result<Tensor> {
        let motion_width = self.input.weight.dim(1)? - self.identity_width;
        let for_identity = self.input.weight.narrow(1, 0, self.identity_width)?;
        let for_motion = self.input.weight.narrow(1, self.identity_width, motion_width)?;
        let constant = ops::linear(&identity.vector, &for_identity, self.input.bias.as_ref())?;
        let xs = (ops::linear(motion, &for_motion, None)? + constant.index_select(owner, 0)?)?;
        let [channels, height, width] = self.base;
        let mut xs = ops::relu(&xs)?.reshape((motion.dim(0)?, channels, height, width))?;
        for (i, stage) in self.stages.iter().enumerate() {
            xs = stage.conv.of_input(&xs, stage.inputs)?;
            xs = match stage.conv.of_identity(self.identity_input(i, identity)?.as_ref(), stage.inputs)? {
                // (B, C, H, W), one for each person
                Some(constant) => (xs + constant.index_select(owner, 0)?)?,
                None => {
                    let bias = stage.conv.bias();
                    xs.broadcast_add(&bias.reshape((1, bias.dim(0)?, 1, 1))?)?
                }
            };
            if let Some(norm) = &stage.norm {
                xs = ops::relu(&norm.forward(&xs, mode)?)?;
            }
            if stage.shuffle {
                xs = ops::pixel_shuffle(&xs, 2)?;
            }
        }
        match mode {
            Mode::Train(_) if self.output == Output::Tanh => ops::tanh(&xs),
            Mode::Train(_) => ops::sigmoid(&xs),
            Mode::Eval => self.image(&xs),
        }
    }

    /// The image that the last stage's output stands for in inference.
    fn image(&self, xs: &Tensor) -> Result<Tensor> {
        match self.output {
            Output::Sigmoid => ops::sigmoid(xs),
            Output::Tanh => ops::relu(&ops::tanh(xs)?),
        }
    }

    /// What stage `i` reads of the identity.
    fn identity_input(&self, i: usize, identity: &Identity) -> Result<Option<Tensor>> {
        let Some(map) = identity.maps.len().checked_sub(i + 1).map(|level| &identity.maps[level]) else {
            return Ok(None);
        };
        if self.pixels && i + 1 == self.stages.len() {
            return Ok(Some(Tensor::cat(&[map, &fold_pixels(&identity.image)?], 1)?));
        }
        Ok(Some(map.clone()))
    }
}

impl StageConv {
    /// The convolution of the stage's input, without bias.
    fn of_input(&self, xs: &Tensor, inputs: usize) -> Result<Tensor> {
        match self {
            Self::Same(conv) => ops::conv2d(xs, &conv.weight.narrow(1, 0, inputs)?, None, &conv.options),
            Self::Doubling(conv) => ops::conv_transpose2d(xs, &conv.weight.narrow(0, 0, inputs)?, None, &conv.options),
        }
    }

    /// The convolution of the identity's share, with bias; `None` where the identity has none.
    fn of_identity(&self, map: Option<&Tensor>, inputs: usize) -> Result<Option<Tensor>> {
        let Some(map) = map else { return Ok(None) };
        let channels = map.dim(1)?;
        let constant = match self {
            Self::Same(conv) => {
                ops::conv2d(map, &conv.weight.narrow(1, inputs, channels)?, Some(&conv.bias), &conv.options)?
            }
            Self::Doubling(conv) => {
                let weight = conv.weight.narrow(0, inputs, channels)?;
                ops::conv_transpose2d(map, &weight, Some(&conv.bias), &conv.options)?
            }
        };
        Ok(Some(constant))
    }

    fn bias(&self) -> &Tensor {
        match self {
            Self::Same(conv) => &conv.bias,
            Self::Doubling(conv) => &conv.bias,
        }
    }
}

/// The inverse of a pixel shuffle by 2.
///
/// # Shapes
/// - `image`: (B, C, 2 H, 2 W)
/// - output: (B, 4 C, H, W)
fn fold_pixels(image: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = image.dims4()?;
    let (h, w) = (height / 2, width / 2);
    let split = image.reshape(vec![batch, channels, h, 2, w, 2])?;
    split.permute(vec![0, 1, 3, 5, 2, 4])?.reshape((batch, 4 * channels, h, w))
}
