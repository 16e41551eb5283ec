//! The landmark net: a lip crop to the points of the mouth's outline.
//!
//! It serves the metrics, which compare a generated mouth with a real one, so both sides are read with the same eyes. The
//! convolutions are those of the identity encoder, whose vector is read as points.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::identity_encoder::{IMAGE_HEIGHT, IMAGE_WIDTH, IdentityConfig, IdentityEncoder};
use crate::mode::Mode;

/// Pixels in a unit of the last layer, so that its values are of the order of 1.
const UNIT_PX: f64 = 10.0;

/// What a [`LandmarkNet`] is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandmarkConfig {
    /// Points to find.
    pub points: usize,
    /// Channels of the convolutions; each halves height and width.
    pub channels: Vec<usize>,
    /// Taps of the convolutions in each direction; odd.
    pub kernel: usize,
}

/// Convolutions and a linear map to places around the middle of the crop.
#[derive(Debug, Clone)]
pub struct LandmarkNet {
    encoder: IdentityEncoder,
    points: usize,
}

impl LandmarkNet {
    /// Reads `level.N.{conv,norm}` and `output`.
    pub fn new(cfg: &LandmarkConfig, vb: VarBuilder) -> Result<Self> {
        let LandmarkConfig { points, channels, kernel } = cfg.clone();
        let encoder = IdentityConfig { channels, kernel, vector: 2 * points, tanh: false };
        Ok(Self { encoder: IdentityEncoder::new(&encoder, vb)?, points })
    }

    /// # Shapes
    /// - `crops`: (N, 3, 80, 160) in 0..1
    /// - output: (N, points, 2), x and y in pixels; the centre of the first pixel is at (0.5, 0.5)
    pub fn forward(&self, crops: &Tensor, mode: &Mode) -> Result<Tensor> {
        let offsets = self.encoder.forward(crops, mode)?.vector.reshape(((), self.points, 2))?;
        let middle = [IMAGE_WIDTH, IMAGE_HEIGHT].map(|size| size as f32 / 2.);
        (offsets * UNIT_PX)?.broadcast_add(&Tensor::new(&middle, crops.device())?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::checks::{check_gradients, noise};
    use crate::config::preset;
    use crate::mode::DropoutRng;
    use crate::params::Params;

    #[test]
    fn the_preset_is_small_and_starts_around_the_middle() {
        let cfg: LandmarkConfig = preset("landmarks-light").unwrap();
        let params = Params::new(2, &Device::Cpu);
        let net = LandmarkNet::new(&cfg, params.builder()).unwrap();
        // As f16 it is to stay below 1 MB.
        assert!(params.count() < 500_000, "{}", params.count());
        let crops = ((noise((2, 3, 80, 160), 1) + 1.).unwrap() * 0.5).unwrap();
        let points = net.forward(&crops, &Mode::Eval).unwrap();
        assert_eq!(points.dims(), [2, 20, 2]);
        let [x, y] =
            [0, 1].map(|axis| points.narrow(2, axis, 1).unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap());
        assert!((x - 80.).abs() < 10. && (y - 40.).abs() < 10., "{x} {y}");
    }

    #[test]
    fn gradients_are_right() {
        let cfg = LandmarkConfig { points: 2, channels: vec![2, 3], kernel: 3 };
        let params = Params::new(3, &Device::Cpu);
        let net = LandmarkNet::new(&cfg, params.builder()).unwrap();
        let (crops, targets) = (noise((2, 3, 80, 160), 1), (noise((2, 2, 2), 2) * 30.).unwrap());
        check_gradients(&params, || {
            let rng = DropoutRng::new(1);
            crate::losses::l1(&net.forward(&crops, &Mode::Train(&rng))?, &targets)
        });
    }
}
