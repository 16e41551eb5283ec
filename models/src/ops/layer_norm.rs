//! Layer normalisation over the last axis (Ba et al., 2016).

use std::ops::Add;

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, bail};

use super::cpu::{LANES, View, build_pieces, dot, elements, fold, has_kernels, reduce, simd, sum, tensor};
use super::{Result, portable};

/// (x - mean) / sqrt(variance + eps) * weight + bias over the last axis, with the biased variance.
///
/// # Shapes
/// xs (..., C), weight (C), bias (C) -> (..., C)
pub fn layer_norm(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    if !has_kernels(xs) {
        return portable::layer_norm(xs, weight, bias, eps);
    }
    let channels = weight.dims1()?;
    if channels == 0 || xs.dims().last() != Some(&channels) || bias.dims() != [channels] {
        bail!("layer_norm: xs {:?}, weight {:?} and bias {:?} do not fit", xs.shape(), weight.shape(), bias.shape())
    }
    xs.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, LayerNorm { eps: eps as f32 })
}

/// Rows that one task handles.
const ROWS: usize = 32;

struct LayerNorm {
    eps: f32,
}

simd! {
    /// Mean and 1 / sqrt(variance + eps) of a row.
    fn moments(row: &[f32], eps: f32) -> (f32, f32) {
        let scale = 1.0 / row.len() as f32;
        let mean = sum(row) * scale;
        let mut lanes = [0f32; LANES];
        let mut chunks = row.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (l, x) in lanes.iter_mut().zip(chunk) {
                *l += (*x - mean) * (*x - mean);
            }
        }
        for (l, x) in lanes.iter_mut().zip(chunks.remainder()) {
            *l += (*x - mean) * (*x - mean);
        }
        (mean, 1.0 / (fold(&lanes, f32::add) * scale + eps).sqrt())
    }
}

simd! {
    fn normalise(row: &[f32], mean: f32, scale: f32, weight: &[f32], bias: &[f32], dst: &mut [f32]) {
        for (((d, x), w), b) in dst.iter_mut().zip(row).zip(weight).zip(bias) {
            *d = (*x - mean) * scale * *w + *b;
        }
    }
}

simd! {
    /// normal = (row - mean) scale; product = grads weight.
    fn parts(
        row: &[f32],
        mean: f32,
        scale: f32,
        weight: &[f32],
        grads: &[f32],
        normal: &mut [f32],
        product: &mut [f32],
    ) {
        for ((((n, p), x), w), g) in normal.iter_mut().zip(product).zip(row).zip(weight).zip(grads) {
            *n = (*x - mean) * scale;
            *p = *g * *w;
        }
    }
}

simd! {
    fn input_gradient(normal: &[f32], product: &[f32], mean: f32, slope: f32, scale: f32, dst: &mut [f32]) {
        for ((d, n), p) in dst.iter_mut().zip(normal).zip(product) {
            *d = (*p - mean - *n * slope) * scale;
        }
    }
}

simd! {
    fn weight_gradient(row: &[f32], mean: f32, scale: f32, grads: &[f32], dw: &mut [f32], db: &mut [f32]) {
        for (((w, b), x), g) in dw.iter_mut().zip(db).zip(row).zip(grads) {
            *w += (*x - mean) * scale * *g;
            *b += *g;
        }
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
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
        let channels = weight.len();
        let ys = build_pieces(xs.len(), ROWS * channels, |start, ys| {
            for (y, x) in ys.chunks_exact_mut(channels).zip(xs[start..].chunks_exact(channels)) {
                let (mean, scale) = moments(x, self.eps);
                normalise(x, mean, scale, weight, bias, y);
            }
        });
        Ok((CpuStorage::F32(ys), l1.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (x_view, w_view, g_view) = (View::new(xs)?, View::new(weight)?, View::new(&grad)?);
        let (rows, weights, grads) = (&*x_view, &*w_view, &*g_view);
        let channels = weights.len();
        let dx = if xs.track_op() {
            let dx = build_pieces(rows.len(), ROWS * channels, |start, dx| {
                let (mut normal, mut product) = (vec![0.0; channels], vec![0.0; channels]);
                let rows = rows[start..].chunks_exact(channels).zip(grads[start..].chunks_exact(channels));
                for (d, (x, g)) in dx.chunks_exact_mut(channels).zip(rows) {
                    let (mean, scale) = moments(x, self.eps);
                    parts(x, mean, scale, weights, g, &mut normal, &mut product);
                    let (offset, slope) = (sum(&product), dot(&product, &normal));
                    input_gradient(&normal, &product, offset / channels as f32, slope / channels as f32, scale, d);
                }
            });
            Some(tensor(dx, xs.shape())?)
        } else {
            None
        };
        if !weight.track_op() && !bias.track_op() {
            return Ok((dx, None, None));
        }
        let count = rows.len() / channels;
        let mut dw = reduce(count.div_ceil(ROWS), 16, 2 * channels, |i, sums| {
            let (dw, db) = sums.split_at_mut(channels);
            for r in i * ROWS..((i + 1) * ROWS).min(count) {
                let (x, g) = (&rows[r * channels..][..channels], &grads[r * channels..][..channels]);
                let (mean, scale) = moments(x, self.eps);
                weight_gradient(x, mean, scale, g, dw, db);
            }
        });
        let db = dw.split_off(channels);
        Ok((dx, Some(tensor(dw, channels)?), Some(tensor(db, channels)?)))
    }
}
