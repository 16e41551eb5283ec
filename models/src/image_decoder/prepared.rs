//! The image decoder made ready for one person: BatchNorm folded into the convolutions, and everything that does not
//! depend on motion computed beforehand.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::bytes::{interleave, to_bytes};
use super::finish::Finish;
use super::in_bytes::{InBytes, PersonInBytes};
use super::sharpen::{amount, sharpen};
use super::{ImageDecoder, Stage, StageConv};
use crate::identity_encoder::{COLOURS, IMAGE_HEIGHT, IMAGE_WIDTH, Identity};
use crate::ops::{self, Conv2dOptions, ConvTranspose2dOptions};

/// How many images pass through the stages together on a CPU, whose cache their maps fit, and elsewhere, where starting the
/// work takes longer than a few more images.
const IMAGES_AT_ONCE: [usize; 2] = [16, 128];

/// Numbers of an image.
const IMAGE: usize = COLOURS * IMAGE_HEIGHT * IMAGE_WIDTH;

/// One person, ready for [`ImageDecoder::decode`].
#[derive(Debug, Clone)]
pub struct PreparedIdentity {
    path: Path,
    /// How much images are sharpened.
    sharpen: f64,
}

/// From motion to images.
#[derive(Debug, Clone)]
enum Path {
    InBytes(Arc<InBytes>, PersonInBytes),
    Stages {
        /// (first map, motion width)
        input_weight: Tensor,
        /// (first map)
        input_bias: Tensor,
        stages: Vec<PreparedStage>,
    },
}

#[derive(Debug, Clone)]
struct PreparedStage {
    weight: Tensor,
    kind: Kind,
    /// Bias and the identity's share: (1, C, H, W).
    constant: Tensor,
    finish: Finish,
}

/// What a stage makes of the identity, with BatchNorm.
#[derive(Debug)]
pub(super) struct Share {
    /// `None` where the stage reads nothing of it.
    weight: Option<Tensor>,
    /// (C)
    bias: Tensor,
}

#[derive(Debug, Clone)]
enum Kind {
    Same(Conv2dOptions),
    Doubling(ConvTranspose2dOptions),
}

impl ImageDecoder {
    /// Makes ready for one person, whose images are not sharpened yet.
    ///
    /// # Shapes
    /// - `identity`: of a batch of 1
    ///
    /// # Errors
    /// A batch other than 1.
    pub fn prepare(&self, identity: &Identity) -> Result<PreparedIdentity> {
        if identity.vector.dim(0)? != 1 {
            candle_core::bail!("prepare takes one identity, not {}", identity.vector.dim(0)?);
        }
        let vector = identity.vector.detach();
        let constants = |shares: &[Share]| {
            let constants = shares.iter().enumerate().map(|(i, share)| self.constant(i, share, identity));
            constants.collect::<Result<Vec<_>>>()
        };
        let path = match self.in_bytes()? {
            Some(nets) => Path::InBytes(nets.clone(), nets.person(&vector, &constants(&nets.shares)?)?),
            None => {
                let stages = constants(&self.shares()?)?.into_iter().enumerate().map(|(i, constant)| {
                    let stage = &self.stages[i];
                    let kind = match &stage.conv {
                        StageConv::Same(conv) => Kind::Same(conv.options.clone()),
                        StageConv::Doubling(conv) => Kind::Doubling(conv.options.clone()),
                    };
                    let finish = Finish { relu: stage.norm.is_some(), shuffle: stage.shuffle };
                    Ok(PreparedStage { weight: self.folded_weight(i, 0..stage.inputs)?, kind, constant, finish })
                });
                let stages = stages.collect::<Result<_>>()?;
                let (weight, bias) = self.identity_weight()?;
                let input_bias = ops::linear(&vector, &weight, bias.as_ref())?.squeeze(0)?;
                Path::Stages { input_weight: self.motion_weight()?, input_bias, stages }
            }
        };
        Ok(PreparedIdentity { path, sharpen: 0. })
    }

    /// Has images sharpened by what brings the image of `shown`, the motion in the person's picture, to the share of that
    /// picture's sharpness that the configuration asks for.
    ///
    /// # Shapes
    /// - `identity`: the one that was prepared
    /// - `shown`: (1, motion width)
    pub fn sharpen(&self, prepared: &mut PreparedIdentity, identity: &Identity, shown: &Tensor) -> Result<()> {
        prepared.sharpen = 0.;
        if self.sharpness > 0. {
            let image = self.decode(shown, prepared)?.squeeze(0)?;
            prepared.sharpen = amount(&image, &identity.image.squeeze(0)?, self.sharpness)?;
        }
        Ok(())
    }

    /// What of the input is the identity's: (first map, identity's width), and the bias, (first map).
    fn identity_weight(&self) -> Result<(Tensor, Option<Tensor>)> {
        let weight = self.input.weight.detach().narrow(1, 0, self.identity_width)?.contiguous()?;
        Ok((weight, self.input.bias.as_ref().map(Tensor::detach)))
    }

    /// What of the input is motion's: (first map, motion width).
    fn motion_weight(&self) -> Result<Tensor> {
        let motion_width = self.input.weight.dim(1)? - self.identity_width;
        self.input.weight.detach().narrow(1, self.identity_width, motion_width)?.contiguous()
    }

    /// What stage `i` adds: bias, the identity's share and BatchNorm's shift, (1, C, H, W).
    fn constant(&self, i: usize, share: &Share, identity: &Identity) -> Result<Tensor> {
        let map = self.identity_input(i, identity)?.map(|map| map.detach());
        match (map, &share.weight, &self.stages[i].conv) {
            (Some(map), Some(weight), StageConv::Same(conv)) => {
                ops::conv2d(&map, weight, Some(&share.bias), &conv.options)
            }
            (Some(map), Some(weight), StageConv::Doubling(conv)) => {
                ops::conv_transpose2d(&map, weight, Some(&share.bias), &conv.options)
            }
            // Only the plain convolutions of the published stack read nothing of the identity: they are of full size.
            _ => {
                let bias = share.bias.reshape((1, (), 1, 1))?;
                bias.broadcast_as((1, bias.dim(1)?, IMAGE_HEIGHT, IMAGE_WIDTH))?.contiguous()
            }
        }
    }

    /// What each stage makes of the identity.
    fn shares(&self) -> Result<Vec<Share>> {
        let share = |(i, stage): (usize, &Stage)| {
            let inputs = match &stage.conv {
                StageConv::Same(conv) => conv.weight.dim(1)?,
                StageConv::Doubling(conv) => conv.weight.dim(0)?,
            };
            let weight = (inputs > stage.inputs).then(|| self.folded_weight(i, stage.inputs..inputs)).transpose()?;
            let bias = stage.conv.bias().detach();
            let bias = match &stage.norm {
                Some(norm) => {
                    let (scale, shift) = norm.folded()?;
                    ((bias * scale)? + shift)?
                }
                None => bias,
            };
            Ok(Share { weight, bias })
        };
        self.stages.iter().enumerate().map(share).collect()
    }

    /// The weight of stage `i` for some of its inputs, times BatchNorm's scale.
    fn folded_weight(&self, i: usize, inputs: Range<usize>) -> Result<Tensor> {
        let stage = &self.stages[i];
        // The output channels are the first axis of a convolution's weight and the second of a transposed one's.
        let (weight, outputs) = match &stage.conv {
            StageConv::Same(conv) => (conv.weight.narrow(1, inputs.start, inputs.len())?, 0),
            StageConv::Doubling(conv) => (conv.weight.narrow(0, inputs.start, inputs.len())?, 1),
        };
        let weight = weight.detach();
        let Some(norm) = &stage.norm else { return weight.contiguous() };
        let (scale, _) = norm.folded()?;
        let mut dims = [1; 4];
        dims[outputs] = scale.dim(0)?;
        weight.broadcast_mul(&scale.reshape(&dims)?)?.contiguous()
    }

    /// The decoder in bytes, laid out at first use; `None` where no vectors multiply them, for stages that are no sub-pixel
    /// convolutions, and while anything learns.
    fn in_bytes(&self) -> Result<Option<Arc<InBytes>>> {
        if let Some(known) = self.in_bytes.get() {
            return Ok(known.clone());
        }
        let sub_pixel = self.stages.iter().enumerate().all(|(i, stage)| {
            let last = i + 1 == self.stages.len();
            matches!(stage.conv, StageConv::Same(_)) && stage.shuffle && stage.norm.is_some() != last
        });
        let weights = self.stages.iter().map(|stage| match &stage.conv {
            StageConv::Same(conv) => &conv.weight,
            StageConv::Doubling(conv) => &conv.weight,
        });
        if !sub_pixel || weights.chain([&self.input.weight]).any(Tensor::track_op) {
            return Ok(None);
        }
        let stages = self.stages.iter().enumerate().map(|(i, stage)| self.folded_weight(i, 0..stage.inputs));
        let stages = stages.collect::<Result<Vec<_>>>()?;
        let nets = InBytes::new(self.identity_weight()?, &self.motion_weight()?, &stages, self.shares()?, self.base)?;
        let nets = nets.map(Arc::new);
        Ok(self.in_bytes.get_or_init(|| nets).clone())
    }

    /// Images of one person in inference: equal to [`ImageDecoder::forward`] up to rounding, and several times faster.
    ///
    /// # Shapes
    /// - `motion`: (N, motion width)
    /// - output: (N, 3, 80, 160) in 0..1
    pub fn decode(&self, motion: &Tensor, identity: &PreparedIdentity) -> Result<Tensor> {
        let motion = motion.detach();
        if motion.dim(0)? == 0 {
            candle_core::bail!("there is no motion to decode");
        }
        match &identity.path {
            Path::InBytes(nets, person) => {
                let copy = |planes: &[f32], out: &mut [f32]| out.copy_from_slice(planes);
                let values = nets.each(&motion, person, identity.sharpen, IMAGE, copy)?;
                Tensor::from_vec(values, (motion.dim(0)?, COLOURS, IMAGE_HEIGHT, IMAGE_WIDTH), motion.device())
            }
            Path::Stages { input_weight, input_bias, stages } => {
                let parts = parts(&motion)?.into_iter().map(|motion| {
                    let images = self.through_stages(&motion, input_weight, input_bias, stages)?;
                    sharpen(&images, identity.sharpen)
                });
                Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
            }
        }
    }

    /// The same as RGB bytes, a pixel's colours together, image after image.
    pub fn draw(&self, motion: &Tensor, identity: &PreparedIdentity) -> Result<Vec<u8>> {
        match &identity.path {
            Path::InBytes(nets, person) => nets.each(&motion.detach(), person, identity.sharpen, IMAGE, interleave),
            Path::Stages { .. } => {
                let parts = parts(motion)?.into_iter().map(|motion| to_bytes(&self.decode(&motion, identity)?));
                Ok(parts.collect::<Result<Vec<_>>>()?.concat())
            }
        }
    }

    fn through_stages(
        &self,
        motion: &Tensor,
        input_weight: &Tensor,
        input_bias: &Tensor,
        stages: &[PreparedStage],
    ) -> Result<Tensor> {
        let [channels, height, width] = self.base;
        let xs = ops::relu(&ops::linear(motion, input_weight, Some(input_bias))?)?;
        let mut xs = xs.reshape((motion.dim(0)?, channels, height, width))?;
        for stage in stages {
            xs = match &stage.kind {
                Kind::Same(options) => ops::conv2d(&xs, &stage.weight, None, options)?,
                Kind::Doubling(options) => ops::conv_transpose2d(&xs, &stage.weight, None, options)?,
            };
            xs = stage.finish.apply(&xs, &stage.constant)?;
        }
        self.image(&xs)
    }
}

/// Motion in parts of [`IMAGES_AT_ONCE`].
fn parts(motion: &Tensor) -> Result<Vec<Tensor>> {
    let images = motion.dim(0)?;
    let at_once = IMAGES_AT_ONCE[usize::from(!ops::has_kernels(motion))];
    let part = |start: usize| motion.narrow(0, start, at_once.min(images - start));
    (0..images).step_by(at_once).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fold_pixels;
    use super::*;
    use crate::checks::{difference, noise};
    use crate::config::{LipsConfig, preset};
    use crate::mode::Mode;
    use crate::model::LipsModel;
    use crate::params::Params;
    use candle_core::Device;

    /// Nets that have learnt, in bytes where vectors multiply these, draw what nets that learn do, to a part of a level in 255
    /// for each map; and bytes are what images are, however many are drawn.
    #[test]
    fn nets_that_have_learnt_draw_the_same() {
        let mut cfg: LipsConfig = preset("lips-light").unwrap();
        cfg.image.sharpness = 0.5;
        let params = Params::new(3, &Device::Cpu);
        let learning = LipsModel::new(&cfg, params.builder()).unwrap();
        let learnt = LipsModel::new(&cfg, params.fixed()).unwrap();
        let person = ops::sigmoid(&noise((1, COLOURS, IMAGE_HEIGHT, IMAGE_WIDTH), 1)).unwrap();
        let motion = noise((IMAGES_AT_ONCE[0] + 3, cfg.motion.width), 2);
        let shown = motion.narrow(0, 0, 1).unwrap();
        let [(expected, _), (images, bytes)] = [learning, learnt].map(|model| {
            let identity = model.identity.forward(&person, &Mode::Eval).unwrap();
            let mut prepared = model.image.prepare(&identity).unwrap();
            model.image.sharpen(&mut prepared, &identity, &shown).unwrap();
            assert!(prepared.sharpen > 0.);
            (model.image.decode(&motion, &prepared).unwrap(), model.image.draw(&motion, &prepared).unwrap())
        });
        let apart = difference(&images, &expected);
        assert!(apart < 4. / 255., "{apart}");
        assert!(bytes == to_bytes(&images).unwrap());
    }

    #[test]
    fn folded_pixels_unfold_to_the_image() {
        let image = Tensor::arange(0f32, 2. * 3. * 4. * 6., &Device::Cpu).unwrap().reshape((2, 3, 4, 6)).unwrap();
        let folded = fold_pixels(&image).unwrap();
        assert_eq!(folded.dims(), [2, 12, 2, 3]);
        let back = ops::pixel_shuffle(&folded, 2).unwrap();
        assert_eq!(difference(&back, &image), 0.);
    }
}
