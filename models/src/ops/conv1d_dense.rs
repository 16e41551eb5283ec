//! Convolution of (B, T, C) as matrix products, without a copy of the input per tap: the rows that a tap reads lie
//! stride * C apart in the padded input, and without dilation the K rows of one output are one row of length K C.

use std::borrow::Cow;

use candle_core::{Shape, Tensor, bail};
use rayon::prelude::*;

use super::Result;
use super::affine::Kernel;
use super::conv1d::Geometry;
use super::cpu::{View, biased_rows, build, column_sums, has_kernels, tensor, transposed};
use super::gemm::{Base, Mat, MatMut, Packed, products};

/// A convolution of (B, T, C) in any number of groups.
pub(super) struct Dense(pub(super) Geometry);

/// `xs` (B, T, C) with `left` and `right` zero rows around each T.
fn padded(xs: &[f32], batch: usize, channels: usize, left: usize, right: usize) -> Cow<'_, [f32]> {
    if left + right == 0 || xs.is_empty() {
        return Cow::Borrowed(xs);
    }
    let (row, before) = (xs.len() / batch, left * channels);
    let padded = before + row + right * channels;
    // A piece holds zeros, into which it takes what it has of its sequences.
    let dst = build(batch * padded, |start, dst| {
        let end = start + dst.len();
        for b in start / padded..end.div_ceil(padded) {
            let first = b * padded + before;
            let (from, to) = (first.max(start), (first + row).min(end));
            if from < to {
                dst[from - start..to - start].copy_from_slice(&xs[b * row + from - first..][..to - from]);
            }
        }
    });
    Cow::Owned(dst)
}

/// Takes the zero rows off again.
fn cropped(xs: Vec<f32>, batch: usize, channels: usize, left: usize, right: usize) -> Vec<f32> {
    if left + right == 0 {
        return xs;
    }
    let row = xs.len() / batch;
    let kept = row - (left + right) * channels;
    let mut dst = vec![0.0; batch * kept];
    let chunks = dst.par_chunks_exact_mut(kept).zip(xs.par_chunks_exact(row));
    chunks.for_each(|(d, x)| d.copy_from_slice(&x[left * channels..][..kept]));
    dst
}

/// A convolution of (B, T, C) whose weight does not change any more, laid out for its products once. What it gives is the same
/// as [`conv1d`](super::conv1d)'s, bit for bit without a matrix unit and up to rounding with one, and has no gradient.
pub struct FixedConv1d {
    weight: Packed,
    bias: Vec<f32>,
    inputs: usize,
    kernel: usize,
}

impl FixedConv1d {
    /// `None` on devices without kernels of this crate.
    ///
    /// # Shapes
    /// weight (O, I, K), bias (O)
    pub fn new(weight: &Tensor, bias: &Tensor) -> Result<Option<Self>> {
        if !has_kernels(weight) {
            return Ok(None);
        }
        let (outputs, inputs, kernel) = weight.dims3()?;
        if bias.dims() != [outputs] || inputs * kernel == 0 {
            bail!("conv1d: bias {:?} does not fit weight {:?}", bias.shape(), weight.shape());
        }
        let taps_first = exchange_last(&View::new(&weight.contiguous()?)?, inputs, kernel);
        let weight = Packed::new(Mat::rows(&taps_first, kernel * inputs).t());
        Ok(Some(Self { weight, bias: bias.to_vec1()?, inputs, kernel }))
    }

    /// # Shapes
    /// (B, T, I) -> (B, T + 2 padding - K + 1, O)
    pub fn forward(&self, xs: &Tensor, padding: usize) -> Result<Tensor> {
        let (batch, length, inputs) = xs.dims3()?;
        let Some(steps) = (length + 2 * padding + 1).checked_sub(self.kernel).filter(|_| inputs == self.inputs) else {
            bail!("conv1d: {:?} does not fit {} inputs and {} taps", xs.shape(), self.inputs, self.kernel);
        };
        let xs = xs.contiguous()?;
        let xs = View::new(&xs)?;
        let xs = padded(&xs, batch, inputs, padding, padding);
        let row = (length + 2 * padding) * inputs;
        let base = Base::Row(&self.bias);
        let sequence = |xs| Mat::new(xs, [steps, self.kernel * inputs], [inputs, 1]);
        let ys: Vec<f32> = match batch {
            1 => self.weight.product(sequence(&xs), base),
            _ => xs.chunks_exact(row.max(1)).flat_map(|xs| self.weight.product(sequence(xs), base)).collect(),
        };
        tensor(ys, (batch, steps, self.bias.len()))
    }
}

impl std::fmt::Debug for FixedConv1d {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FixedConv1d({} x {} -> {})", self.inputs, self.kernel, self.bias.len())
    }
}

impl Geometry {
    fn inputs_per_group(&self) -> usize {
        self.inputs / self.groups
    }

    fn outputs_per_group(&self) -> usize {
        self.outputs / self.groups
    }

    /// The weight (O, I, K) as (O, K, I): the taps of an output in the order in which they lie in the input.
    fn taps_first(&self, weight: &[f32]) -> Vec<f32> {
        exchange_last(weight, self.inputs_per_group(), self.kernel)
    }

    /// For group `group` of one padded sequence: per term of the sum over taps the input (T', K' I) and the columns
    /// of the weight (O, K I) that it meets.
    fn terms<'a>(&self, padded: &'a [f32], group: usize) -> Vec<(Mat<'a>, [usize; 2])> {
        let inputs = self.inputs_per_group();
        let strides = [self.stride * self.inputs, 1];
        if self.groups == 1 && self.dilation == 1 {
            let width = self.kernel * inputs;
            return vec![(Mat::new(padded, [self.steps, width], strides), [0, width])];
        }
        let tap = |k: usize| {
            let data = &padded[k * self.dilation * self.inputs + group * inputs..];
            (Mat::new(data, [self.steps, inputs], strides), [k * inputs, inputs])
        };
        (0..self.kernel).map(tap).collect()
    }

    /// The convolution of (B, T, C), given the weight as (O, K, I).
    fn convolve(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs_per_group(), self.outputs_per_group());
        let xs = padded(xs, self.batch, self.inputs, self.padding, self.padding);
        let mut ys = Vec::with_capacity(self.batch * self.steps * self.outputs);
        let new = &mut ys.spare_capacity_mut()[..self.batch * self.steps * self.outputs];
        let row = (self.length + 2 * self.padding) * self.inputs;
        let width = self.kernel * inputs;
        for (group, weight) in weight.chunks_exact(outputs * width).enumerate() {
            let weight = Mat::rows(weight, width);
            let terms = self.terms(&xs, group).into_iter().map(|(_, [from, count])| weight.columns(from, count).t());
            let right = terms.collect::<Vec<_>>();
            let sequences = new.chunks_exact_mut(self.steps * self.outputs).zip(xs.chunks_exact(row));
            let targets = sequences.map(|(ys, xs)| {
                let dst = MatMut::fresh(&mut ys[group * outputs..], [self.steps, outputs], self.outputs);
                (dst, self.terms(xs, group).into_iter().map(|(x, _)| x).collect())
            });
            let base = bias.map_or(Base::Zero, |bias| Base::Row(&bias[group * outputs..][..outputs]));
            products(&mut targets.collect::<Vec<_>>(), &right, base);
        }
        // SAFETY: the products have written the outputs of every group, and all steps of every sequence.
        unsafe { ys.set_len(self.batch * self.steps * self.outputs) };
        ys
    }

    /// Adds every output's gradient to the inputs it came from, plus a bias per input channel, given the weight as
    /// (O, K, I).
    fn scatter(&self, grads: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs_per_group(), self.outputs_per_group());
        let row = (self.length + 2 * self.padding) * self.inputs;
        let mut dx = biased_rows(self.batch * row / self.inputs, self.inputs, bias);
        let width = self.kernel * inputs;
        for (group, k) in (0..self.groups).flat_map(|group| (0..self.kernel).map(move |k| (group, k))) {
            let weight = Mat::rows(&weight[group * outputs * width..][..outputs * width], width);
            let sequences = dx.chunks_exact_mut(row).zip(grads.chunks_exact(self.steps * self.outputs));
            let targets = sequences.map(|(dx, grads)| {
                let grads = Mat::new(&grads[group * outputs..], [self.steps, outputs], [self.outputs, 1]);
                let dx = &mut dx[k * self.dilation * self.inputs + group * inputs..];
                (MatMut::new(dx, [self.steps, inputs], self.stride * self.inputs), vec![grads])
            });
            products(&mut targets.collect::<Vec<_>>(), &[weight.columns(k * inputs, inputs)], Base::Result);
        }
        cropped(dx, self.batch, self.inputs, self.padding, self.padding)
    }
}

impl Dense {
    /// The transposed convolution: the gradient of the input for any stride.
    pub(super) fn transpose(&self, grads: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        self.0.scatter(grads, &self.0.taps_first(weight), bias)
    }
}

/// (A, B, C) -> (A, C, B).
fn exchange_last(src: &[f32], b: usize, c: usize) -> Vec<f32> {
    let mut dst = vec![0.0; src.len()];
    if b * c == 0 {
        return dst;
    }
    dst.par_chunks_exact_mut(b * c).zip(src.par_chunks_exact(b * c)).for_each(|(dst, src)| {
        for (i, row) in src.chunks_exact(c).enumerate() {
            for (j, x) in row.iter().enumerate() {
                dst[j * b + i] = *x;
            }
        }
    });
    dst
}

impl Kernel for Dense {
    const NAME: &'static str = "conv1d";

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn channels(&self) -> usize {
        self.0.outputs
    }

    fn forward(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        self.0.convolve(xs, &self.0.taps_first(weight), bias)
    }

    fn input_gradient(&self, weight: &[f32], grads: &[f32]) -> Vec<f32> {
        let g = &self.0;
        let (inputs, outputs) = (g.inputs_per_group(), g.outputs_per_group());
        let reach = g.dilation * (g.kernel - 1);
        if g.stride > 1 || reach < g.padding {
            return self.transpose(grads, weight, None);
        }
        // With stride 1 the gradient is a convolution by the flipped kernel: (groups, O, I, K) -> (groups, I, K, O).
        let mut flipped = vec![0.0; weight.len()];
        let size = inputs * outputs * g.kernel;
        flipped.par_chunks_exact_mut(size).zip(weight.par_chunks_exact(size)).for_each(|(dst, src)| {
            for (oi, taps) in src.chunks_exact(g.kernel).enumerate() {
                let (o, i) = (oi / inputs, oi % inputs);
                for (k, x) in taps.iter().enumerate() {
                    dst[(i * g.kernel + g.kernel - 1 - k) * outputs + o] = *x;
                }
            }
        });
        let back = Geometry {
            length: g.steps,
            steps: g.length,
            inputs: g.outputs,
            outputs: g.inputs,
            padding: reach - g.padding,
            ..g.clone()
        };
        back.convolve(grads, &flipped, None)
    }

    fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32> {
        let g = &self.0;
        let (inputs, outputs) = (g.inputs_per_group(), g.outputs_per_group());
        let width = g.kernel * inputs;
        let xs = padded(xs, g.batch, g.inputs, g.padding, g.padding);
        let row = (g.length + 2 * g.padding) * g.inputs;
        let mut dw = vec![0.0; g.outputs * width];
        for (group, dw) in dw.chunks_exact_mut(outputs * width).enumerate() {
            // The gradients of each sequence, and per term (a tap, or all taps) the inputs that they meet.
            let sequences = xs.chunks_exact(row).zip(grads.chunks_exact(g.steps * g.outputs)).map(|(xs, grads)| {
                let grads = Mat::new(&grads[group * outputs..], [g.steps, outputs], [g.outputs, 1]).t();
                (grads, g.terms(xs, group))
            });
            let (left, terms): (Vec<_>, Vec<_>) = sequences.unzip();
            let Some(first) = terms.first() else { continue };
            for (i, (_, [from, count])) in first.iter().enumerate() {
                let right = terms.iter().map(|terms| terms[i].0).collect::<Vec<_>>();
                if outputs < *count {
                    // The narrower matrix on the right: that one is copied.
                    let (inputs, grads) = (right.iter().map(|m| m.t()), left.iter().map(|m| m.t()));
                    let mut narrow = vec![0.0; count * outputs];
                    let dst = MatMut::new(&mut narrow, [*count, outputs], outputs);
                    products(&mut [(dst, inputs.collect())], &grads.collect::<Vec<_>>(), Base::Zero);
                    let rows = transposed(&narrow, outputs);
                    let targets = dw[*from..].chunks_mut(width).zip(rows.chunks_exact(*count));
                    targets.for_each(|(dst, src)| dst[..*count].copy_from_slice(src));
                    continue;
                }
                let dst = MatMut::new(&mut dw[*from..], [outputs, *count], width);
                products(&mut [(dst, left.clone())], &right, Base::Zero);
            }
        }
        exchange_last(&dw, g.kernel, inputs)
    }

    fn bias_gradient(&self, grads: &[f32]) -> Vec<f32> {
        column_sums(grads, self.0.outputs)
    }
}
