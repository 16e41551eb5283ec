//! Images by products of bytes: from motion to the first map, through all sub-pixel convolutions, and to what is asked for,
//! each image on one thread.

use candle_core::{Result, Tensor};

use super::prepared::Share;
use super::sharpen::sharpen_plane;
use crate::ops::{self, FixedLinear, SubPixelChain, SubPixelConstants};

/// What of an image decoder is the same for everyone.
#[derive(Debug)]
pub(super) struct InBytes {
    /// The identity's vector, and motion, to the first map, a pixel's channels together.
    inputs: [FixedLinear; 2],
    chain: SubPixelChain,
    /// What each stage makes of the identity.
    pub(super) shares: Vec<Share>,
    /// (channels, height, width) of the first map.
    base: [usize; 3],
}

/// One person's share.
#[derive(Debug, Clone)]
pub(super) struct PersonInBytes {
    /// (first map)
    input: Tensor,
    constants: SubPixelConstants,
}

impl InBytes {
    /// `None` where no vectors multiply bytes.
    ///
    /// # Shapes
    /// - `weight`, `bias`: the identity's, (first map, identity's width) and (first map)
    /// - `motion`: (first map, motion width)
    /// - `stages`: weights of the convolutions
    pub(super) fn new(
        (weight, bias): (Tensor, Option<Tensor>),
        motion: &Tensor,
        stages: &[Tensor],
        shares: Vec<Share>,
        base: [usize; 3],
    ) -> Result<Option<Self>> {
        let Some(chain) = SubPixelChain::new(stages, [base[1], base[2]])? else { return Ok(None) };
        let bias = bias.map(|bias| pixels_first(&bias.unsqueeze(1)?, base)?.flatten_all()).transpose()?;
        let identity = FixedLinear::new(&pixels_first(&weight, base)?, bias.as_ref())?;
        let motion = FixedLinear::new(&pixels_first(motion, base)?, None)?;
        Ok(identity.zip(motion).map(|(identity, motion)| Self { inputs: [identity, motion], chain, shares, base }))
    }

    /// # Shapes
    /// - `identity`: (1, identity's width)
    /// - `constants`: (1, C, H, W) for each convolution
    pub(super) fn person(&self, identity: &Tensor, constants: &[Tensor]) -> Result<PersonInBytes> {
        let input = self.inputs[0].forward(identity)?.squeeze(0)?;
        Ok(PersonInBytes { input, constants: self.chain.constants(constants)? })
    }

    /// What `finish` makes of each image's planes, 3 x 80 x 160 in 0..1, sharpened: `len` elements, one after the other.
    ///
    /// # Shapes
    /// - `motion`: (N, motion width)
    pub(super) fn each<T: Send + Clone + Default>(
        &self,
        motion: &Tensor,
        person: &PersonInBytes,
        sharpen: f64,
        len: usize,
        finish: impl Fn(&[f32], &mut [T]) + Sync,
    ) -> Result<Vec<T>> {
        let [channels, height, width] = self.base;
        let xs = self.inputs[1].forward_with(motion, &person.input)?;
        let xs = xs.reshape((motion.dim(0)?, height, width, channels))?;
        self.chain.each(&xs, &person.constants, len, |planes, out| {
            sigmoid(planes);
            if sharpen != 0. {
                let plane = planes.len() / 3;
                planes.chunks_exact_mut(plane).for_each(|plane| sharpen_plane(sharpen as f32, plane));
            }
            finish(planes, out);
        })
    }
}

/// (C H W, I) as (H W C, I).
fn pixels_first(xs: &Tensor, [channels, height, width]: [usize; 3]) -> Result<Tensor> {
    xs.reshape((channels, height * width, ()))?.transpose(0, 1)?.contiguous()?.flatten(0, 1)
}

crate::simd! {
    fn sigmoid(xs: &mut [f32]) {
        xs.iter_mut().for_each(|x| *x = ops::approx::sigmoid(*x));
    }
}
