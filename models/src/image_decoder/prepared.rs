//! The image decoder made ready for one person: BatchNorm folded into the convolutions, and everything that does not
//! depend on motion computed beforehand.

use candle_core::{Result, Tensor};

use super::finish::Finish;
use super::sharpen::{amount, sharpen};
use super::{ImageDecoder, StageConv};
use crate::identity_encoder::{IMAGE_HEIGHT, IMAGE_WIDTH, Identity};
use crate::ops::{self, Conv2dOptions, ConvTranspose2dOptions};

/// How many images pass through the stages together: their maps fit a CPU's cache.
const IMAGES_AT_ONCE: usize = 16;

/// One person, ready for [`ImageDecoder::decode`].
#[derive(Debug, Clone)]
pub struct PreparedIdentity {
    /// (first map, motion width)
    input_weight: Tensor,
    /// (first map)
    input_bias: Tensor,
    stages: Vec<PreparedStage>,
    /// How much images are sharpened.
    sharpen: f64,
}

#[derive(Debug, Clone)]
struct PreparedStage {
    weight: Tensor,
    kind: Kind,
    /// Bias and the identity's share: (1, C, H, W).
    constant: Tensor,
    finish: Finish,
}

#[derive(Debug, Clone)]
enum Kind {
    Same(Conv2dOptions),
    Doubling(ConvTranspose2dOptions),
}

impl ImageDecoder {
    /// Makes ready for one person. Images are sharpened by what brings the image of `shown`, the motion in the person's
    /// picture, to the share of that picture's sharpness that the configuration asks for; without `shown`, not at all.
    ///
    /// # Shapes
    /// - `identity`: of a batch of 1
    /// - `shown`: (1, motion width)
    ///
    /// # Errors
    /// A batch other than 1.
    pub fn prepare(&self, identity: &Identity, shown: Option<&Tensor>) -> Result<PreparedIdentity> {
        if identity.vector.dim(0)? != 1 {
            candle_core::bail!("prepare takes one identity, not {}", identity.vector.dim(0)?);
        }
        let weight = self.input.weight.detach();
        let motion_width = weight.dim(1)? - self.identity_width;
        let bias = self.input.bias.as_ref().map(Tensor::detach);
        let for_identity = weight.narrow(1, 0, self.identity_width)?;
        let input_bias = ops::linear(&identity.vector.detach(), &for_identity, bias.as_ref())?.squeeze(0)?;
        let input_weight = weight.narrow(1, self.identity_width, motion_width)?.contiguous()?;
        let stages = (0..self.stages.len()).map(|i| self.prepare_stage(i, identity));
        let stages = stages.collect::<Result<_>>()?;
        let mut prepared = PreparedIdentity { input_weight, input_bias, stages, sharpen: 0. };
        if let Some(shown) = shown.filter(|_| self.sharpness > 0.) {
            let image = self.decode(shown, &prepared)?.squeeze(0)?;
            prepared.sharpen = amount(&image, &identity.image.squeeze(0)?, self.sharpness)?;
        }
        Ok(prepared)
    }

    fn prepare_stage(&self, i: usize, identity: &Identity) -> Result<PreparedStage> {
        let stage = &self.stages[i];
        let map = self.identity_input(i, identity)?.map(|map| map.detach());
        let mut constant = match stage.conv.of_identity(map.as_ref(), stage.inputs)? {
            Some(constant) => constant.detach(),
            // Only the plain convolutions of the published stack read nothing of the identity: they are of full size.
            None => {
                let bias = stage.conv.bias().detach().reshape((1, (), 1, 1))?;
                bias.broadcast_as((1, bias.dim(1)?, IMAGE_HEIGHT, IMAGE_WIDTH))?
            }
        };
        let inputs = stage.inputs;
        let (mut weight, kind) = match &stage.conv {
            StageConv::Same(conv) => (conv.weight.narrow(1, 0, inputs)?, Kind::Same(conv.options.clone())),
            StageConv::Doubling(conv) => (conv.weight.narrow(0, 0, inputs)?, Kind::Doubling(conv.options.clone())),
        };
        weight = weight.detach();
        if let Some(norm) = &stage.norm {
            let (scale, shift) = norm.folded()?;
            let per_channel = scale.reshape((1, (), 1, 1))?;
            constant = constant.broadcast_mul(&per_channel)?.broadcast_add(&shift.reshape((1, (), 1, 1))?)?;
            // The output channels are the first axis of a convolution's weight and the second of a transposed one's.
            weight = match kind {
                Kind::Same(_) => weight.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?,
                Kind::Doubling(_) => weight.broadcast_mul(&per_channel)?,
            };
        }
        let weight = weight.contiguous()?;
        let finish = Finish { relu: stage.norm.is_some(), shuffle: stage.shuffle };
        Ok(PreparedStage { weight, kind, constant: constant.contiguous()?, finish })
    }

    /// Images of one person in inference: equal to [`ImageDecoder::forward`] up to rounding, and several times faster.
    ///
    /// # Shapes
    /// - `motion`: (N, motion width)
    /// - output: (N, 3, 80, 160) in 0..1
    pub fn decode(&self, motion: &Tensor, identity: &PreparedIdentity) -> Result<Tensor> {
        let motion = motion.detach();
        let images = motion.dim(0)?;
        let starts = (0..images).step_by(IMAGES_AT_ONCE);
        let parts = starts
            .map(|start| self.decode_part(&motion.narrow(0, start, IMAGES_AT_ONCE.min(images - start))?, identity));
        match parts.collect::<Result<Vec<_>>>()?.as_slice() {
            [] => candle_core::bail!("there is no motion to decode"),
            [one] => Ok(one.clone()),
            parts => Tensor::cat(parts, 0),
        }
    }

    fn decode_part(&self, motion: &Tensor, identity: &PreparedIdentity) -> Result<Tensor> {
        let [channels, height, width] = self.base;
        let xs = ops::relu(&ops::linear(motion, &identity.input_weight, Some(&identity.input_bias))?)?;
        let mut xs = xs.reshape((motion.dim(0)?, channels, height, width))?;
        for stage in &identity.stages {
            xs = match &stage.kind {
                Kind::Same(options) => ops::conv2d(&xs, &stage.weight, None, options)?,
                Kind::Doubling(options) => ops::conv_transpose2d(&xs, &stage.weight, None, options)?,
            };
            xs = stage.finish.apply(&xs, &stage.constant)?;
        }
        sharpen(&self.image(&xs)?, identity.sharpen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fold_pixels;
    use super::*;
    use candle_core::Device;

    #[test]
    fn folded_pixels_unfold_to_the_image() {
        let image = Tensor::arange(0f32, 2. * 3. * 4. * 6., &Device::Cpu).unwrap().reshape((2, 3, 4, 6)).unwrap();
        let folded = fold_pixels(&image).unwrap();
        assert_eq!(folded.dims(), [2, 12, 2, 3]);
        let back = ops::pixel_shuffle(&folded, 2).unwrap();
        assert_eq!(crate::checks::difference(&back, &image), 0.);
    }
}
