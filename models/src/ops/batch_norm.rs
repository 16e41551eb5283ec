//! Batch normalisation (Ioffe and Szegedy, 2015) of axis 1 over all the other axes.

use std::ops::Add;

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{LANES, View, build_pieces, elements, fold, has_kernels, simd, sum, tensor};
use super::{Result, portable};

/// Normalises by the statistics of this batch; returns the result, the mean and the biased variance.
///
/// Mean and variance carry no gradient of their own: they are for the running statistics.
///
/// # Shapes
/// xs (B, C, ...), weight (C), bias (C) -> (B, C, ...), (C), (C)
pub fn batch_norm_train(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
    if !has_kernels(xs) {
        return portable::batch_norm_train(xs, weight, bias, eps);
    }
    let planes = Planes::new(xs, weight, bias)?;
    let xs = xs.contiguous()?;
    let moments = {
        let view = View::new(&xs)?;
        (0..planes.channels).into_par_iter().map(|c| planes.moments(&view, c)).collect::<Vec<_>>()
    };
    let (mean, variance): (Vec<_>, Vec<_>) = moments.into_iter().unzip();
    let scale = variance.iter().map(|v| (1.0 / (f64::from(*v) + eps).sqrt()) as f32).collect();
    let shape = planes.channels;
    let op = BatchNorm { mean: mean.clone(), scale, planes };
    let ys = xs.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?;
    Ok((ys, tensor(mean, shape)?, tensor(variance, shape)?))
}

/// Normalises by given statistics.
///
/// # Shapes
/// xs (B, C, ...), mean, variance, weight, bias (C) -> (B, C, ...)
pub fn batch_norm_eval(
    xs: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    if !has_kernels(xs) {
        return portable::batch_norm_eval(xs, mean, variance, weight, bias, eps);
    }
    let scale = (weight / (variance + eps)?.sqrt()?)?;
    let shift = (bias - (mean * &scale)?)?;
    let planes = Planes::new(xs, &scale, &shift)?;
    xs.contiguous()?.apply_op3(&scale.contiguous()?, &shift.contiguous()?, ScaleChannels { planes })
}

/// Elements of one task.
const ELEMENTS: usize = 16 * 1024;

/// (B, C, ...) as planes of one image and channel.
#[derive(Clone, Copy)]
struct Planes {
    channels: usize,
    /// Elements of a plane.
    pixels: usize,
    /// Elements of a channel.
    count: usize,
}

impl Planes {
    fn new(xs: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Self> {
        let channels = weight.dims1()?;
        if xs.rank() < 2 || xs.dim(1)? != channels || bias.dims() != [channels] || xs.elem_count() == 0 {
            bail!("batch_norm: xs {:?}, weight {:?} and bias {:?} do not fit", xs.shape(), weight.shape(), bias.shape())
        }
        Ok(Self { channels, pixels: xs.dims()[2..].iter().product(), count: xs.elem_count() / channels })
    }

    /// The planes of channel `c`.
    fn of<'a>(&self, src: &'a [f32], c: usize) -> impl Iterator<Item = &'a [f32]> {
        src.chunks_exact(self.pixels).skip(c).step_by(self.channels)
    }

    /// Mean and biased variance of channel `c`.
    fn moments(&self, src: &[f32], c: usize) -> (f32, f32) {
        let mean = self.of(src, c).map(|plane| f64::from(sum(plane))).sum::<f64>() / self.count as f64;
        // The deviations from the rounded mean, and what that rounding adds to them.
        let (rounded, error) = (mean as f32, mean - f64::from(mean as f32));
        let squares = self.of(src, c).map(|plane| f64::from(square_deviation(plane, rounded))).sum::<f64>();
        (rounded, (squares / self.count as f64 - error * error).max(0.0) as f32)
    }

    /// Builds as many planes as `src` has by `work(channel, offset, plane)`.
    fn build(&self, src: &[f32], work: impl Fn(usize, usize, &mut [f32]) + Sync) -> Vec<f32> {
        build_pieces(src.len(), (ELEMENTS / self.pixels).max(1) * self.pixels, |start, piece| {
            for (i, plane) in piece.chunks_exact_mut(self.pixels).enumerate() {
                let start = start + i * self.pixels;
                work(start / self.pixels % self.channels, start, plane);
            }
        })
    }
}

simd! {
    fn square_deviation(src: &[f32], mean: f32) -> f32 {
        let mut lanes = [0f32; LANES];
        let mut chunks = src.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (l, x) in lanes.iter_mut().zip(chunk) {
                *l += (*x - mean) * (*x - mean);
            }
        }
        for (l, x) in lanes.iter_mut().zip(chunks.remainder()) {
            *l += (*x - mean) * (*x - mean);
        }
        fold(&lanes, f32::add)
    }
}

simd! {
    /// Sum of g and of g (x - mean).
    fn gradient_sums(xs: &[f32], grads: &[f32], mean: f32) -> (f32, f32) {
        let (mut plain, mut weighted) = ([0f32; LANES], [0f32; LANES]);
        let (x_chunks, g_chunks) = (xs.chunks_exact(LANES), grads.chunks_exact(LANES));
        let rest = x_chunks.remainder().iter().zip(g_chunks.remainder());
        for (x, g) in x_chunks.zip(g_chunks) {
            for i in 0..LANES {
                plain[i] += g[i];
                weighted[i] += g[i] * (x[i] - mean);
            }
        }
        for (i, (x, g)) in rest.enumerate() {
            plain[i] += *g;
            weighted[i] += *g * (*x - mean);
        }
        (fold(&plain, f32::add), fold(&weighted, f32::add))
    }
}

simd! {
    /// dst = (x - mean) scale + shift.
    fn normalise(xs: &[f32], mean: f32, scale: f32, shift: f32, dst: &mut [f32]) {
        for (d, x) in dst.iter_mut().zip(xs) {
            *d = (*x - mean) * scale + shift;
        }
    }
}

simd! {
    /// dst = g scale + (x - mean) slope + shift.
    fn combine(xs: &[f32], grads: &[f32], mean: f32, scale: f32, slope: f32, shift: f32, dst: &mut [f32]) {
        for ((d, x), g) in dst.iter_mut().zip(xs).zip(grads) {
            *d = *g * scale + (*x - mean) * slope + shift;
        }
    }
}

struct BatchNorm {
    planes: Planes,
    mean: Vec<f32>,
    /// 1 / sqrt(variance + eps)
    scale: Vec<f32>,
}

/// Per channel the sum of g and of g (x - mean).
fn channel_gradients(planes: Planes, xs: &[f32], grads: &[f32], mean: &[f32]) -> Vec<(f32, f32)> {
    let channel = |c: usize| {
        let sums = planes.of(xs, c).zip(planes.of(grads, c)).map(|(x, g)| gradient_sums(x, g, mean[c]));
        let total = sums.fold((0f64, 0f64), |t, s| (t.0 + f64::from(s.0), t.1 + f64::from(s.1)));
        (total.0 as f32, total.1 as f32)
    };
    (0..planes.channels).into_par_iter().map(channel).collect()
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (xs, weight, bias) = (elements(s1, l1)?, elements(s2, l2)?, elements(s3, l3)?);
        let ys = self.planes.build(xs, |c, start, plane| {
            normalise(&xs[start..][..plane.len()], self.mean[c], self.scale[c] * weight[c], bias[c], plane);
        });
        Ok((CpuStorage::F32(ys), l1.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (x_view, w_view, g_view) = (View::new(xs)?, View::new(weight)?, View::new(&grad)?);
        let (x, w, g) = (&*x_view, &*w_view, &*g_view);
        let sums = channel_gradients(self.planes, x, g, &self.mean);
        let dx = if xs.track_op() {
            let count = self.planes.count as f32;
            let dx = self.planes.build(x, |c, start, plane| {
                let (x, g, scale) = (&x[start..][..plane.len()], &g[start..][..plane.len()], self.scale[c]);
                let factor = scale * w[c];
                let slope = -factor * scale * scale * sums[c].1 / count;
                combine(x, g, self.mean[c], factor, slope, -factor * sums[c].0 / count, plane);
            });
            Some(tensor(dx, xs.shape())?)
        } else {
            None
        };
        let dw = sums.iter().zip(&self.scale).map(|((_, weighted), scale)| weighted * scale).collect();
        let db = sums.iter().map(|(plain, _)| *plain).collect();
        Ok((dx, Some(tensor(dw, self.planes.channels)?), Some(tensor(db, self.planes.channels)?)))
    }
}

/// xs scale + shift per channel.
struct ScaleChannels {
    planes: Planes,
}

impl CustomOp3 for ScaleChannels {
    fn name(&self) -> &'static str {
        "scale-channels"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (xs, scale, shift) = (elements(s1, l1)?, elements(s2, l2)?, elements(s3, l3)?);
        let ys = self.planes.build(xs, |c, start, plane| {
            normalise(&xs[start..][..plane.len()], 0.0, scale[c], shift[c], plane);
        });
        Ok((CpuStorage::F32(ys), l1.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        scale: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (x_view, s_view, g_view) = (View::new(xs)?, View::new(scale)?, View::new(&grad)?);
        let (x, s, g) = (&*x_view, &*s_view, &*g_view);
        let channels = self.planes.channels;
        let dx = self.planes.build(x, |c, start, plane| normalise(&g[start..][..plane.len()], 0.0, s[c], 0.0, plane));
        let sums = channel_gradients(self.planes, x, g, &vec![0.0; channels]);
        let (db, dw): (Vec<_>, Vec<_>) = sums.into_iter().unzip();
        Ok((Some(tensor(dx, xs.shape())?), Some(tensor(dw, channels)?), Some(tensor(db, channels)?)))
    }
}
