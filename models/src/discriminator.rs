//! The discriminator of lip images: convolutions with LeakyReLU, image by image (ParaLip table 7). It has no BatchNorm:
//! the published count of 14,113,793 parameters leaves no room for one.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::identity_encoder::COLOURS;
use crate::layers::{Conv2d, Conv2dConfig};
use crate::ops;

/// What a [`Discriminator`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorConfig {
    /// The convolutions, from the image to the scores.
    pub layers: Vec<DiscriminatorLayer>,
    /// LeakyReLU's slope below 0.
    pub slope: f64,
    /// Whether LeakyReLU also follows the last convolution, as published.
    pub activate_scores: bool,
}

/// One convolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorLayer {
    /// Taps in each direction.
    pub kernel: usize,
    /// Channels of the output.
    pub channels: usize,
    /// Pixels between two outputs, down and across.
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: usize,
}

/// Tells real images from made ones.
#[derive(Debug, Clone)]
pub struct Discriminator {
    layers: Vec<Conv2d>,
    slope: f64,
    activate_scores: bool,
}

impl Discriminator {
    /// Reads `layer.0`, `layer.1`, ...
    pub fn new(cfg: &DiscriminatorConfig, vb: VarBuilder) -> Result<Self> {
        let mut inputs = COLOURS;
        let layers = cfg.layers.iter().enumerate().map(|(i, layer)| {
            let DiscriminatorLayer { kernel, channels, stride, padding } = *layer;
            let conv = Conv2dConfig { inputs, outputs: channels, kernel, stride, padding };
            inputs = channels;
            Conv2d::new(&conv, vb.pp("layer").pp(i))
        });
        let layers = layers.collect::<Result<Vec<_>>>()?;
        Ok(Self { layers, slope: cfg.slope, activate_scores: cfg.activate_scores })
    }

    /// The same, with weights that no gradient reaches: what a generator is trained against.
    #[must_use]
    pub fn detached(&self) -> Self {
        let blind = |layer: &Conv2d| Conv2d {
            weight: layer.weight.detach(),
            bias: layer.bias.detach(),
            options: layer.options.clone(),
        };
        Self { layers: self.layers.iter().map(blind).collect(), ..self.clone() }
    }

    /// # Shapes
    /// - `images`: (N, 3, 80, 160) in 0..1
    /// - output: (N, scores), towards 1 for real images; one score an image as published
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let mut xs = images.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            xs = layer.forward(&xs)?;
            if self.activate_scores || i + 1 < self.layers.len() {
                xs = ops::leaky_relu(&xs, self.slope)?;
            }
        }
        xs.flatten_from(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{check_gradients, noise};
    use crate::config::preset;
    use crate::params::Params;
    use candle_core::Device;

    #[test]
    fn paper_has_the_published_parameters_and_one_score_an_image() {
        let params = Params::new(1, &Device::Cpu);
        let net = Discriminator::new(&preset("discriminator-paper").unwrap(), params.builder()).unwrap();
        assert_eq!(params.count(), 14_113_793);
        assert_eq!(net.forward(&noise((1, 3, 80, 160), 1)).unwrap().dims(), [1, 1]);
    }

    #[test]
    fn light_gives_scores_and_right_gradients() {
        let mut cfg: DiscriminatorConfig = preset("discriminator-light").unwrap();
        for layer in &mut cfg.layers {
            layer.channels = layer.channels.min(2);
        }
        let params = Params::new(1, &Device::Cpu);
        let net = Discriminator::new(&cfg, params.builder()).unwrap();
        let images = noise((2, 3, 80, 160), 1);
        assert_eq!(net.forward(&images).unwrap().dims(), [2, 50]);
        check_gradients(&params, || crate::losses::lsgan_generator(&net.forward(&images)?));
    }
}
