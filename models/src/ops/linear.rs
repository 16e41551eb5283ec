//! Affine map of the last axis.

use candle_core::{Shape, Tensor, bail};

use super::affine::{Kernel, apply};
use super::cpu::{column_sums, has_kernels};
use super::gemm::{Base, Mat, new_product};
use super::{Result, portable};

/// xs weight^T + bias.
///
/// # Shapes
/// xs (..., I), weight (O, I), bias (O) -> (..., O)
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !has_kernels(xs) {
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

impl Kernel for Linear {
    const NAME: &'static str = "linear";

    fn shape(&self) -> Shape {
        self.dims.clone().into()
    }

    fn channels(&self) -> usize {
        self.outputs
    }

    fn forward(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        new_product(Mat::rows(xs, self.inputs), Mat::rows(weight, self.inputs).t(), bias.map_or(Base::Zero, Base::Row))
    }

    fn input_gradient(&self, weight: &[f32], grads: &[f32]) -> Vec<f32> {
        new_product(Mat::rows(grads, self.outputs), Mat::rows(weight, self.inputs), Base::Zero)
    }

    fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32> {
        new_product(Mat::rows(grads, self.outputs).t(), Mat::rows(xs, self.inputs), Base::Zero)
    }

    fn bias_gradient(&self, grads: &[f32]) -> Vec<f32> {
        column_sums(grads, self.outputs)
    }
}
