//! Softmax over the last axis.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};

use super::cpu::{LANES, View, build_pieces, dot, elements, fold, has_kernels, simd, sum, tensor};
use super::{Result, approx, portable};

/// exp(x - max) / sum of exp(x - max) over the last axis.
///
/// # Shapes
/// xs (..., C) -> (..., C)
pub fn softmax_last(xs: &Tensor) -> Result<Tensor> {
    if !has_kernels(xs) {
        return portable::softmax_last(xs);
    }
    match xs.dims().last() {
        Some(&channels) if channels > 0 => xs.contiguous()?.apply_op1(Softmax { channels }),
        _ => bail!("softmax_last: xs {:?} has an empty last axis", xs.shape()),
    }
}

/// Elements of one task.
const ELEMENTS: usize = 8 * 1024;

struct Softmax {
    channels: usize,
}

simd! {
    fn largest(row: &[f32]) -> f32 {
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let mut chunks = row.chunks_exact(LANES);
        for chunk in &mut chunks {
            lanes.iter_mut().zip(chunk).for_each(|(l, x)| *l = larger(*l, *x));
        }
        lanes.iter_mut().zip(chunks.remainder()).for_each(|(l, x)| *l = larger(*l, *x));
        fold(&lanes, larger)
    }
}

/// exp(x - largest).
#[inline(always)]
fn power(x: f32, largest: f32) -> f32 {
    let below = x - largest;
    // A masked score, far below or minus infinity, gets exactly nothing.
    if below < -87.0 { 0.0 } else { approx::exp(below) }
}

simd! {
    fn powers(row: &[f32], largest: f32, dst: &mut [f32]) {
        let whole = row.len() / LANES * LANES;
        for (d, x) in dst[..whole].iter_mut().zip(&row[..whole]) {
            *d = power(*x, largest);
        }
        // Rows are short: one by one the rest would take as long as all before.
        let mut lanes = [largest; LANES];
        let rest = &mut lanes[..row.len() - whole];
        rest.copy_from_slice(&row[whole..]);
        for x in &mut lanes {
            *x = power(*x, largest);
        }
        dst[whole..].copy_from_slice(&lanes[..row.len() - whole]);
    }
}

simd! {
    fn scale(row: &mut [f32], factor: f32) {
        for x in row {
            *x *= factor;
        }
    }
}

simd! {
    fn gradient(ys: &[f32], grads: &[f32], mean: f32, dst: &mut [f32]) {
        for ((d, y), g) in dst.iter_mut().zip(ys).zip(grads) {
            *d = *y * (*g - mean);
        }
    }
}

impl Softmax {
    /// Elements of whole rows that make up a task.
    fn piece(&self) -> usize {
        (ELEMENTS / self.channels).max(1) * self.channels
    }
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax-last"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let xs = elements(storage, layout)?;
        let ys = build_pieces(xs.len(), self.piece(), |start, ys| {
            for (y, x) in ys.chunks_exact_mut(self.channels).zip(xs[start..].chunks_exact(self.channels)) {
                powers(x, largest(x), y);
                let total = sum(y);
                scale(y, 1.0 / total);
            }
        });
        Ok((CpuStorage::F32(ys), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (ys, grads) = (View::new(res)?, View::new(&grad)?);
        let (ys, grads) = (&*ys, &*grads);
        let dx = build_pieces(ys.len(), self.piece(), |start, dx| {
            let rows = ys[start..].chunks_exact(self.channels).zip(grads[start..].chunks_exact(self.channels));
            for (d, (y, g)) in dx.chunks_exact_mut(self.channels).zip(rows) {
                gradient(y, g, dot(y, g), d);
            }
        });
        Ok(Some(tensor(dx, arg.shape())?))
    }
}
