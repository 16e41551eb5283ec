//! Images on a matrix unit: from motion to the first map, through all sub-pixel convolutions, and to what is asked for, each
//! image on one thread.

use candle_core::{Result, Tensor};

use super::sharpen::sharpen_plane;
use crate::ops::{self, FixedLinear, SubPixelChain, SubPixelConstants};

/// What of an image decoder is the same for everyone.
#[derive(Debug)]
pub(super) struct OnUnit {
    /// Motion to the first map, a pixel's channels together.
    input: FixedLinear,
    chain: SubPixelChain,
    /// (channels, height, width) of the first map.
    base: [usize; 3],
}

/// One person's share.
#[derive(Debug, Clone)]
pub(super) struct PersonOnUnit {
    /// (first map)
    input: Tensor,
    constants: SubPixelConstants,
}

impl OnUnit {
    /// `None` where there is no matrix unit.
    ///
    /// # Shapes
    /// - `input`: (first map, motion width)
    /// - `stages`: weights of the convolutions
    pub(super) fn new(input: &Tensor, stages: &[Tensor], base: [usize; 3]) -> Result<Option<Self>> {
        let Some(chain) = SubPixelChain::new(stages, [base[1], base[2]])? else { return Ok(None) };
        Ok(FixedLinear::new(&pixels_first(input, base)?, None)?.map(|input| Self { input, chain, base }))
    }

    /// # Shapes
    /// - `input`: (first map)
    /// - `constants`: (1, C, H, W) for each convolution
    pub(super) fn person(&self, input: &Tensor, constants: &[Tensor]) -> Result<PersonOnUnit> {
        let input = pixels_first(&input.unsqueeze(1)?, self.base)?.flatten_all()?;
        Ok(PersonOnUnit { input, constants: self.chain.constants(constants)? })
    }

    /// What `finish` makes of each image's planes, 3 x 80 x 160 in 0..1, sharpened: `len` elements, one after the other.
    ///
    /// # Shapes
    /// - `motion`: (N, motion width)
    pub(super) fn each<T: Send + Clone + Default>(
        &self,
        motion: &Tensor,
        person: &PersonOnUnit,
        sharpen: f64,
        len: usize,
        finish: impl Fn(&[f32], &mut [T]) + Sync,
    ) -> Result<Vec<T>> {
        let [channels, height, width] = self.base;
        let xs = ops::relu(&self.input.forward(motion)?.broadcast_add(&person.input)?)?;
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
