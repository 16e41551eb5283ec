//! What follows a prepared convolution, in one pass over memory: the constant part, ReLU and the pixel shuffle. Inference
//! only: it has no gradient.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::ops;

/// Which steps follow the addition of the constant part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish {
    pub(super) relu: bool,
    /// 2x2 channels become 2x2 pixels.
    pub(super) shuffle: bool,
}

impl Finish {
    /// # Shapes
    /// - `xs`: (N, C, H, W)
    /// - `constant`: (1, C, H, W)
    /// - output: (N, C, H, W), or (N, C / 4, 2 H, 2 W) with the shuffle
    pub(super) fn apply(self, xs: &Tensor, constant: &Tensor) -> Result<Tensor> {
        if ops::has_kernels(xs) {
            return xs.contiguous()?.apply_op2_no_bwd(&constant.contiguous()?, &self);
        }
        let mut xs = xs.broadcast_add(constant)?;
        if self.relu {
            xs = ops::relu(&xs)?;
        }
        if self.shuffle { ops::pixel_shuffle(&xs, 2) } else { Ok(xs) }
    }

    fn image(self, xs: &[f32], constant: &[f32], (height, width): (usize, usize), ys: &mut [f32]) {
        let floor = if self.relu { 0. } else { f32::NEG_INFINITY };
        if !self.shuffle {
            for ((y, x), c) in ys.iter_mut().zip(xs).zip(constant) {
                *y = (x + c).max(floor);
            }
            return;
        }
        let plane = height * width;
        for (line, ys) in ys.chunks_exact_mut(2 * width).enumerate() {
            // Line 2 y + i of colour c mixes line y of channels 4 c + 2 i and 4 c + 2 i + 1.
            let (channel, line) = (line / (2 * height), line % (2 * height));
            let even = (4 * channel + 2 * (line % 2)) * plane + (line / 2) * width;
            let odd = even + plane;
            let even = xs[even..][..width].iter().zip(&constant[even..][..width]);
            let odd = xs[odd..][..width].iter().zip(&constant[odd..][..width]);
            for ((pair, (x0, c0)), (x1, c1)) in ys.chunks_exact_mut(2).zip(even).zip(odd) {
                pair[0] = (x0 + c0).max(floor);
                pair[1] = (x1 + c1).max(floor);
            }
        }
    }
}

impl CustomOp2 for Finish {
    fn name(&self) -> &'static str {
        "image-decoder-finish"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, lx: &Layout, constant: &CpuStorage, lc: &Layout) -> Result<(CpuStorage, Shape)> {
        let (images, channels, height, width) = lx.shape().dims4()?;
        let per_image = channels * height * width;
        if lc.shape().elem_count() != per_image || (self.shuffle && !channels.is_multiple_of(4)) {
            candle_core::bail!("the constant part is {:?} for maps of {:?}", lc.shape(), lx.shape());
        }
        let xs = &xs.as_slice::<f32>()?[lx.start_offset()..][..images * per_image];
        let constant = &constant.as_slice::<f32>()?[lc.start_offset()..][..per_image];
        let mut ys = vec![0f32; images * per_image];
        ys.par_chunks_mut(per_image)
            .zip(xs.par_chunks(per_image))
            .for_each(|(ys, xs)| self.image(xs, constant, (height, width), ys));
        let shape = match self.shuffle {
            true => (images, channels / 4, 2 * height, 2 * width),
            false => (images, channels, height, width),
        };
        Ok((CpuStorage::F32(ys), shape.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{difference, noise};

    #[test]
    fn one_pass_equals_the_separate_steps() {
        let (xs, constant) = (noise((3, 8, 5, 6), 1), noise((1, 8, 5, 6), 2));
        for (relu, shuffle) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut expected = xs.broadcast_add(&constant).unwrap();
            if relu {
                expected = expected.relu().unwrap();
            }
            if shuffle {
                expected = ops::pixel_shuffle(&expected, 2).unwrap();
            }
            let finished = Finish { relu, shuffle }.apply(&xs, &constant).unwrap();
            assert_eq!(difference(&finished, &expected), 0.);
        }
        assert!(Finish { relu: true, shuffle: true }.apply(&xs, &constant.narrow(1, 0, 4).unwrap()).is_err());
    }
}
