//! Sub-pixel upsampling (Shi et al., 2016): channels become pixels.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};

use super::cpu::{View, build_pieces, elements, every, has_kernels, simd, tensor};
use super::{Result, portable};

/// ys[b, c, h r + i, w r + j] = xs[b, c r^2 + i r + j, h, w].
///
/// # Shapes
/// xs (B, C r^2, H, W) -> (B, C, H r, W r)
pub fn pixel_shuffle(xs: &Tensor, r: usize) -> Result<Tensor> {
    let (b, c, h, w) = xs.dims4()?;
    if !has_kernels(xs) {
        return portable::pixel_shuffle(xs, r);
    }
    if r == 0 || !c.is_multiple_of(r * r) {
        bail!("pixel_shuffle: {c} channels are not a multiple of the square of the factor {r}")
    }
    if b * c * h * w == 0 {
        bail!("pixel_shuffle: xs {:?} is empty", xs.shape())
    }
    xs.contiguous()?.apply_op1(PixelShuffle { r, height: h, width: w, shape: (b, c / (r * r), h * r, w * r).into() })
}

struct PixelShuffle {
    r: usize,
    height: usize,
    width: usize,
    /// Shape of the result.
    shape: Shape,
}

simd! {
    /// Line y of the result from the r lines, each `spacing` after the one before, that interleave in it.
    fn interleave(src: &[f32], spacing: usize, r: usize, dst: &mut [f32]) {
        let width = dst.len() / r;
        if r == 2 {
            let (even, odd) = (&src[..width], &src[spacing..][..width]);
            for ((d, e), o) in dst.chunks_exact_mut(2).zip(even).zip(odd) {
                d[0] = *e;
                d[1] = *o;
            }
        } else {
            for j in 0..r {
                for (d, s) in dst.iter_mut().skip(j).step_by(r).zip(&src[j * spacing..][..width]) {
                    *d = *s;
                }
            }
        }
    }
}

impl CustomOp1 for PixelShuffle {
    fn name(&self) -> &'static str {
        "pixel-shuffle"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let xs = elements(storage, layout)?;
        let (r, plane) = (self.r, self.height * self.width);
        let ys = build_pieces(xs.len(), plane * r * r, |start, ys| {
            let xs = &xs[start..][..ys.len()];
            for (y, line) in ys.chunks_exact_mut(self.width * r).enumerate() {
                interleave(&xs[y % r * r * plane + y / r * self.width..], plane, r, line);
            }
        });
        Ok((CpuStorage::F32(ys), self.shape.clone()))
    }

    fn bwd(&self, arg: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let grads = View::new(&grad)?;
        let (r, plane) = (self.r, self.height * self.width);
        let dx = build_pieces(grads.len(), plane * r * r, |start, dx| {
            let grads = &grads[start..][..dx.len()];
            for (line, dx) in dx.chunks_exact_mut(self.width).enumerate() {
                let (channel, y) = (line / self.height, line % self.height);
                let source = (y * r + channel / r) * self.width * r;
                every(&grads[source + channel % r..], r, dx);
            }
        });
        Ok(Some(tensor(dx, arg.shape())?))
    }
}
