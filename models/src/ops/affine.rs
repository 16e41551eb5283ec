//! The node of candle's graph for every operation with a weight and perhaps a bias: it calls a kernel forward, and
//! backward only for the arguments that need a gradient.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor, bail};

use super::Result;
use super::cpu::{View, elements, tensor};

/// A linear map of the input, linear in the weight too, plus a bias per output channel, on contiguous slices.
pub(super) trait Kernel: Send + Sync + 'static {
    /// The name in error messages.
    const NAME: &'static str;

    /// Shape of the result.
    fn shape(&self) -> Shape;

    /// Channels of the result: the length of a bias.
    fn channels(&self) -> usize;

    /// The result.
    fn forward(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32>;

    /// Gradient of the input.
    fn input_gradient(&self, weight: &[f32], grads: &[f32]) -> Vec<f32>;

    /// Gradient of the weight.
    fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32>;

    /// Gradient of the bias.
    fn bias_gradient(&self, grads: &[f32]) -> Vec<f32>;
}

/// Runs a kernel as one node; all tensors are on the CPU.
pub(super) fn apply<K: Kernel>(kernel: K, xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (xs, weight) = (xs.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) if bias.dims() != [kernel.channels()] => {
            bail!("{}: bias {:?} does not fit {} output channels", K::NAME, bias.shape(), kernel.channels())
        }
        Some(bias) => xs.apply_op3(&weight, &bias.contiguous()?, Node(kernel)),
        None => xs.apply_op2(&weight, Node(kernel)),
    }
}

struct Node<K>(K);

impl<K: Kernel> Node<K> {
    fn backward(&self, xs: &Tensor, weight: &Tensor, grads: &[f32]) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = if xs.track_op() {
            Some(tensor(self.0.input_gradient(&View::new(weight)?, grads), xs.shape())?)
        } else {
            None
        };
        let dw = if weight.track_op() {
            Some(tensor(self.0.weight_gradient(&View::new(xs)?, grads), weight.shape())?)
        } else {
            None
        };
        Ok((dx, dw))
    }
}

impl<K: Kernel> CustomOp2 for Node<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let ys = self.0.forward(elements(s1, l1)?, elements(s2, l2)?, None);
        Ok((CpuStorage::F32(ys), self.0.shape()))
    }

    fn bwd(&self, xs: &Tensor, weight: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.backward(xs, weight, &View::new(&grad.contiguous()?)?)
    }
}

impl<K: Kernel> CustomOp3 for Node<K> {
    fn name(&self) -> &'static str {
        K::NAME
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
        let ys = self.0.forward(elements(s1, l1)?, elements(s2, l2)?, Some(elements(s3, l3)?));
        Ok((CpuStorage::F32(ys), self.0.shape()))
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
        let grads = View::new(&grad)?;
        let (dx, dw) = self.backward(xs, weight, &grads)?;
        let db = if bias.track_op() { Some(tensor(self.0.bias_gradient(&grads), bias.shape())?) } else { None };
        Ok((dx, dw, db))
    }
}
