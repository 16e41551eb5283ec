//! The sizes of all stages of an image decoder, from its configuration.

use candle_core::Result;

use super::{ImageConfig, ImageStack, Output};
use crate::identity_encoder::{COLOURS, IMAGE_HEIGHT, IMAGE_WIDTH, IdentityConfig};

/// What to build.
pub(super) struct Plan {
    /// (channels, height, width) of the first map.
    pub(super) base: [usize; 3],
    pub(super) stages: Vec<StagePlan>,
    pub(super) output: Output,
    pub(super) pixels: bool,
}

/// One convolution.
pub(super) struct StagePlan {
    pub(super) inputs: usize,
    pub(super) identity_channels: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    pub(super) doubling: bool,
    pub(super) norm: bool,
    pub(super) shuffle: bool,
}

impl Plan {
    pub(super) fn new(cfg: &ImageConfig, identity: &IdentityConfig) -> Result<Self> {
        let sizes = identity.map_sizes();
        let Some([_, height, width]) = sizes.last().copied() else {
            candle_core::bail!("the image decoder needs at least one map of the identity encoder");
        };
        let (doublings, kernel) = match &cfg.stack {
            ImageStack::PixelShuffle { channels, kernel, .. } => (channels.len() + 1, *kernel),
            ImageStack::Transposed { channels, kernel, .. } => (channels.len(), *kernel),
        };
        if doublings != sizes.len() || height << doublings != IMAGE_HEIGHT || width << doublings != IMAGE_WIDTH {
            candle_core::bail!(
                "the image decoder doubles {doublings} times, the identity encoder halves {} times: they must be equal",
                sizes.len()
            );
        }
        if kernel.is_multiple_of(2) {
            candle_core::bail!("the image decoder needs an odd kernel, not {kernel}");
        }
        let map_channels = |i: usize| sizes.iter().rev().nth(i).map_or(0, |size| size[0]);
        let mut inputs = cfg.base_channels;
        let mut stages = Vec::new();
        let (output, pixels) = match &cfg.stack {
            ImageStack::PixelShuffle { channels, pixels, .. } => {
                for (i, outputs) in channels.iter().chain([&COLOURS]).enumerate() {
                    let last = i == channels.len();
                    let folded = if last && *pixels { 4 * COLOURS } else { 0 };
                    let identity_channels = map_channels(i) + folded;
                    let sizes = (inputs, identity_channels, 4 * outputs);
                    stages.push(StagePlan::new(sizes, kernel, false).with(!last, true));
                    inputs = *outputs;
                }
                (Output::Sigmoid, *pixels)
            }
            ImageStack::Transposed { channels, tail, .. } => {
                for (i, outputs) in channels.iter().enumerate() {
                    stages.push(StagePlan::new((inputs, map_channels(i), *outputs), kernel, true).with(true, false));
                    inputs = *outputs;
                }
                for (i, outputs) in tail.iter().chain([&COLOURS]).enumerate() {
                    let last = i == tail.len();
                    stages.push(StagePlan::new((inputs, 0, *outputs), kernel, false).with(!last, false));
                    inputs = *outputs;
                }
                (Output::Tanh, false)
            }
        };
        Ok(Self { base: [cfg.base_channels, height, width], stages, output, pixels })
    }
}

impl StagePlan {
    fn new((inputs, identity_channels, outputs): (usize, usize, usize), kernel: usize, doubling: bool) -> Self {
        Self { inputs, identity_channels, outputs, kernel, doubling, norm: false, shuffle: false }
    }

    fn with(self, norm: bool, shuffle: bool) -> Self {
        Self { norm, shuffle, ..self }
    }
}
