//! The identity encoder: one image of a person's lips to what stays of it while the person speaks (ParaLip table 6).

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::layers::{BatchNorm, Conv2d, Conv2dConfig, Linear, LinearConfig};
use crate::mode::Mode;
use crate::ops;

/// Height of all images of lips, in pixels.
pub const IMAGE_HEIGHT: usize = 80;
/// Width of all images of lips, in pixels.
pub const IMAGE_WIDTH: usize = 160;
/// Red, green and blue.
pub const COLOURS: usize = 3;

/// What an [`IdentityEncoder`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// Channels of the maps; each map halves height and width.
    pub channels: Vec<usize>,
    /// Taps of the convolutions in each direction; odd.
    pub kernel: usize,
    /// Width of the identity vector.
    pub vector: usize,
    /// Whether the vector passes through tanh, as published.
    pub tanh: bool,
}

impl IdentityConfig {
    /// (channels, height, width) of each map, the largest first.
    pub fn map_sizes(&self) -> Vec<[usize; 3]> {
        let halved = |size: usize, times: usize| (0..times).fold(size, |size, _| size.div_ceil(2));
        let sizes = self.channels.iter().enumerate();
        sizes.map(|(i, c)| [*c, halved(IMAGE_HEIGHT, i + 1), halved(IMAGE_WIDTH, i + 1)]).collect()
    }
}

/// What an image says about the person in it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// (B, D).
    pub vector: Tensor,
    /// Feature maps, the largest first: (B, C, 40, 80), (B, C, 20, 40), ...
    pub maps: Vec<Tensor>,
    /// The image itself: (B, 3, 80, 160) in 0..1.
    pub image: Tensor,
}

/// Convolutions of stride 2, each followed by BatchNorm and ReLU, and a linear map of the last one's output.
#[derive(Debug, Clone)]
pub struct IdentityEncoder {
    levels: Vec<(Conv2d, BatchNorm)>,
    output: Linear,
    tanh: bool,
}

impl IdentityEncoder {
    /// Reads `level.N.{conv,norm}` and `output`.
    pub fn new(cfg: &IdentityConfig, vb: VarBuilder) -> Result<Self> {
        let Some([channels, height, width]) = cfg.map_sizes().last().copied() else {
            candle_core::bail!("the identity encoder needs at least one map");
        };
        let levels = cfg.channels.iter().enumerate().map(|(i, outputs)| {
            let inputs = if i == 0 { COLOURS } else { cfg.channels[i - 1] };
            let conv = Conv2dConfig { stride: [2, 2], ..Conv2dConfig::same(inputs, *outputs, cfg.kernel) };
            let vb = vb.pp("level").pp(i);
            Ok((Conv2d::new(&conv, vb.pp("conv"))?, BatchNorm::new(*outputs, vb.pp("norm"))?))
        });
        Ok(Self {
            levels: levels.collect::<Result<_>>()?,
            output: Linear::new(&LinearConfig::new(channels * height * width, cfg.vector), vb.pp("output"))?,
            tanh: cfg.tanh,
        })
    }

    /// # Shapes
    /// - `image`: (B, 3, 80, 160) in 0..1
    pub fn forward(&self, image: &Tensor, mode: &Mode) -> Result<Identity> {
        let mut maps = Vec::with_capacity(self.levels.len());
        let mut xs = image.clone();
        for (conv, norm) in &self.levels {
            xs = ops::relu(&norm.forward(&conv.forward(&xs)?, mode)?)?;
            maps.push(xs.clone());
        }
        let vector = self.output.forward(&xs.flatten_from(1)?)?;
        let vector = if self.tanh { ops::tanh(&vector)? } else { vector };
        Ok(Identity { vector, maps, image: image.clone() })
    }
}
