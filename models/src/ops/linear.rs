//! Affine map of the last axis.

use candle_core::{Shape, Tensor, bail};

use super::affine::{Kernel, apply};
use super::cpu::{biased_rows, column_sums, on_cpu};
use super::gemm::{Mat, MatMut, product};
use super::{Result, portable};

/// xs weight^T + bias.
///
/// # Shapes
/// xs (..., I), weight (O, I), bias (O) -> (..., O)
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !on_cpu(xs) {
        return portable::linear(xs, weight, bias);
    }
    let (outputs, inputs) = weight.dims2()?;
    let mut dims = xs.dims().to_vec();
    match dims.last_mut() {
        Some(last) if *last == inputs && inputs > 0 && outputs > 0 => *last = outputs,
        _ => bail!("linear: xs {:?} does not fit weight {:?}", xs.shape(), weight.shape()),
    }
    apply(Linear { inputs, outputs, dims }, xs, weight, bias)
}

struct Linear {
    inputs: usize,
    outputs: usize,
    /// Shape of the result.
    dims: Vec<usize>,
}

/// Rows that one term of the weight's gradient sums over.
const ROWS_PER_TERM: usize = 4096;

impl Kernel for Linear {
    const NAME: &'static str = "linear";

    fn shape(&self) -> Shape {
        self.dims.clone().into()
    }

    fn channels(&self) -> usize {
        self.outputs
    }

    fn forward(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let rows = xs.len() / self.inputs;
        let mut ys = biased_rows(rows, self.outputs, bias);
        let dst = MatMut::new(&mut ys, [rows, self.outputs], self.outputs);
        product(dst, &[(Mat::rows(xs, self.inputs), Mat::rows(weight, self.inputs).t())], bias.is_some());
        ys
    }

    fn input_gradient(&self, weight: &[f32], grads: &[f32]) -> Vec<f32> {
        let rows = grads.len() / self.outputs;
        let mut dx = vec![0.0; rows * self.inputs];
        let dst = MatMut::new(&mut dx, [rows, self.inputs], self.inputs);
        product(dst, &[(Mat::rows(grads, self.outputs), Mat::rows(weight, self.inputs))], false);
        dx
    }

    fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32> {
        let mut dw = vec![0.0; self.outputs * self.inputs];
        let terms = grads.chunks(ROWS_PER_TERM * self.outputs).zip(xs.chunks(ROWS_PER_TERM * self.inputs));
        let terms = terms.map(|(g, x)| (Mat::rows(g, self.outputs).t(), Mat::rows(x, self.inputs)));
        let dst = MatMut::new(&mut dw, [self.outputs, self.inputs], self.inputs);
        product(dst, &terms.collect::<Vec<_>>(), false);
        dw
    }

    fn bias_gradient(&self, grads: &[f32]) -> Vec<f32> {
        column_sums(grads, self.outputs)
    }
}
