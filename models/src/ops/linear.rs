//! Affine map of the last axis.

use candle_core::{Shape, Tensor, bail};

use super::affine::{Kernel, apply};
use super::cpu::{View, column_sums, has_kernels, tensor};
use super::gemm::{Base, Mat, Packed, new_product};
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

/// An affine map whose weight does not change any more, laid out for its products once. What it gives is the same as
/// [`linear`]'s, bit for bit without a matrix unit and up to rounding with one, and has no gradient.
pub struct FixedLinear {
    weight: Packed,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
}

impl FixedLinear {
    /// `None` on devices without kernels of this crate.
    ///
    /// # Shapes
    /// weight (O, I), bias (O)
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Option<Self>> {
        if !has_kernels(weight) {
            return Ok(None);
        }
        let (outputs, inputs) = weight.dims2()?;
        if bias.is_some_and(|bias| bias.dims() != [outputs]) || inputs == 0 {
            bail!("linear: bias {:?} does not fit weight {:?}", bias.map(Tensor::shape), weight.shape());
        }
        let bias = bias.map(|bias| bias.to_vec1()).transpose()?;
        let weight = Packed::new(Mat::rows(&View::new(&weight.contiguous()?)?, inputs).t());
        Ok(Some(Self { weight, bias, inputs, outputs }))
    }

    /// # Shapes
    /// (..., I) -> (..., O)
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        self.product(xs, self.bias.as_deref())
    }

    /// The same with another bias.
    ///
    /// # Shapes
    /// (..., I), (O) -> (..., O)
    pub fn forward_with(&self, xs: &Tensor, bias: &Tensor) -> Result<Tensor> {
        if bias.dims() != [self.outputs] {
            bail!("linear: bias {:?} does not fit {} outputs", bias.shape(), self.outputs);
        }
        let bias = bias.contiguous()?;
        self.product(xs, Some(&View::new(&bias)?))
    }

    fn product(&self, xs: &Tensor, bias: Option<&[f32]>) -> Result<Tensor> {
        let mut dims = xs.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last == self.inputs => *last = self.outputs,
            _ => bail!("linear: xs {:?} does not fit {} inputs", xs.shape(), self.inputs),
        }
        let xs = xs.contiguous()?;
        let base = bias.map_or(Base::Zero, Base::Row);
        tensor(self.weight.product(Mat::rows(&View::new(&xs)?, self.inputs), base), dims)
    }
}

impl std::fmt::Debug for FixedLinear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FixedLinear({} -> {})", self.inputs, self.outputs)
    }
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
