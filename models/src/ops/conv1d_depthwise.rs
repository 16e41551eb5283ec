//! Depthwise convolution of (B, T, C): one kernel per channel, in loops over channels that the compiler vectorises.

use candle_core::Shape;

use super::affine::Kernel;
use super::conv1d::Geometry;
use super::cpu::{column_sums, for_pieces, reduce, simd, transposed};

/// Channels that one pass of a loop keeps in registers.
const BLOCK: usize = 32;

/// Outputs of one task.
const STEPS: usize = 64;

/// A convolution with as many groups and outputs as inputs.
pub(super) struct Depthwise(pub(super) Geometry);

simd! {
    /// dst = bias + sum over taps (x, w) of row x of `xs` times row w of `weight`.
    fn row(xs: &[f32], weight: &[f32], taps: &[(usize, usize)], bias: Option<&[f32]>, dst: &mut [f32]) {
        let channels = dst.len();
        let mut start = 0;
        while start + BLOCK <= channels {
            let mut sums = [0f32; BLOCK];
            if let Some(bias) = bias {
                sums.copy_from_slice(&bias[start..start + BLOCK]);
            }
            for (x, w) in taps {
                let x = &xs[x * channels + start..][..BLOCK];
                let w = &weight[w * channels + start..][..BLOCK];
                for i in 0..BLOCK {
                    sums[i] += x[i] * w[i];
                }
            }
            dst[start..start + BLOCK].copy_from_slice(&sums);
            start += BLOCK;
        }
        let rest = &mut dst[start..];
        match bias {
            Some(bias) => rest.copy_from_slice(&bias[start..]),
            None => rest.fill(0.0),
        }
        for (x, w) in taps {
            let x = &xs[x * channels + start..][..rest.len()];
            let w = &weight[w * channels + start..][..rest.len()];
            for ((d, x), w) in rest.iter_mut().zip(x).zip(w) {
                *d += *x * *w;
            }
        }
    }
}

simd! {
    /// dst += sum over i < count of row i of `grads` times row i `stride` of `xs`.
    fn tap_gradient(xs: &[f32], stride: usize, grads: &[f32], count: usize, channels: usize, dst: &mut [f32]) {
        let mut start = 0;
        while start + BLOCK <= channels {
            let mut sums = [0f32; BLOCK];
            for i in 0..count {
                let x = &xs[i * stride * channels + start..][..BLOCK];
                let g = &grads[i * channels + start..][..BLOCK];
                for j in 0..BLOCK {
                    sums[j] += x[j] * g[j];
                }
            }
            for (d, s) in dst[start..start + BLOCK].iter_mut().zip(&sums) {
                *d += *s;
            }
            start += BLOCK;
        }
        let rest = channels - start;
        for i in 0..count {
            let x = &xs[i * stride * channels + start..][..rest];
            let g = &grads[i * channels + start..][..rest];
            for ((d, x), g) in dst[start..].iter_mut().zip(x).zip(g) {
                *d += *x * *g;
            }
        }
    }
}

impl Depthwise {
    /// Fills `dst` (B, T, C) row by row; `taps(b, t, list)` lists which row of `src` meets which tap.
    fn fill(
        &self,
        src: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        dst: &mut [f32],
        taps: impl Fn(usize, &mut Vec<(usize, usize)>) + Sync,
    ) {
        let channels = self.0.inputs;
        let weight = transposed(weight, self.0.kernel);
        for_pieces(dst, STEPS * channels, |start, piece| {
            let mut list = Vec::with_capacity(self.0.kernel);
            for (i, dst) in piece.chunks_exact_mut(channels).enumerate() {
                list.clear();
                taps(start / channels + i, &mut list);
                row(src, &weight, &list, bias, dst);
            }
        });
    }
}

impl Kernel for Depthwise {
    const NAME: &'static str = "conv1d-depthwise";

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn channels(&self) -> usize {
        self.0.outputs
    }

    fn forward(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let g = &self.0;
        let mut ys = vec![0.0; g.batch * g.steps * g.outputs];
        self.fill(xs, weight, bias, &mut ys, |row, taps| {
            let (b, t) = (row / g.steps, row % g.steps);
            for k in 0..g.kernel {
                let from = t * g.stride + k * g.dilation;
                if from >= g.padding && from - g.padding < g.length {
                    taps.push((b * g.length + from - g.padding, k));
                }
            }
        });
        ys
    }

    fn input_gradient(&self, weight: &[f32], grads: &[f32]) -> Vec<f32> {
        let g = &self.0;
        let mut dx = vec![0.0; g.batch * g.length * g.inputs];
        self.fill(grads, weight, None, &mut dx, |row, taps| {
            let (b, t) = (row / g.length, row % g.length);
            for k in 0..g.kernel {
                let Some(to) = (t + g.padding).checked_sub(k * g.dilation) else { break };
                if to.is_multiple_of(g.stride) && to / g.stride < g.steps {
                    taps.push((b * g.steps + to / g.stride, k));
                }
            }
        });
        dx
    }

    fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32> {
        let g = &self.0;
        let channels = g.inputs;
        let per_batch = g.steps.div_ceil(STEPS);
        let dw = reduce(g.batch * per_batch, 16, g.kernel * channels, |i, sums| {
            let (b, chunk) = (i / per_batch, i % per_batch);
            for (k, sums) in sums.chunks_exact_mut(channels).enumerate() {
                // Outputs t of this chunk whose input t stride + k dilation - padding exists.
                let shift = k * g.dilation;
                let first = g.padding.saturating_sub(shift).div_ceil(g.stride).max(chunk * STEPS);
                let end = (g.length + g.padding).saturating_sub(shift).div_ceil(g.stride);
                let end = end.min(g.steps).min((chunk + 1) * STEPS);
                if first < end {
                    let x = &xs[(b * g.length + first * g.stride + shift - g.padding) * channels..];
                    let g_rows = &grads[(b * g.steps + first) * channels..];
                    tap_gradient(x, g.stride, g_rows, end - first, channels, sums);
                }
            }
        });
        transposed(&dw, channels)
    }

    fn bias_gradient(&self, grads: &[f32]) -> Vec<f32> {
        column_sums(grads, self.0.outputs)
    }
}
