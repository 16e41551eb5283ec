//! Nodes of candle's graph whose value is computed outside of it and whose gradients a function gives, on any device.
//!
//! What such a node saves are the many small nodes that its value was made of: their gradients are slower than one formula,
//! and each costs the launch of a kernel.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor, bail};

use super::Result;

/// Gradients of the two inputs; `None` where there is none.
pub(super) type Gradients = (Option<Tensor>, Option<Tensor>);

/// `value` as the result of an operation on `xs` and `weight`. `gradients` is given both, without a past, and the gradient
/// of the result, all contiguous; and which of the two needs a gradient.
pub(super) fn with_gradients<F>(
    name: &'static str,
    xs: &Tensor,
    weight: &Tensor,
    value: Tensor,
    gradients: F,
) -> Result<Tensor>
where
    F: Fn([&Tensor; 2], &Tensor, [bool; 2]) -> Result<Gradients> + Send + Sync + 'static,
{
    if !xs.track_op() && !weight.track_op() {
        return Ok(value);
    }
    xs.apply_op3(weight, &value.detach().contiguous()?, GivenGradients { name, gradients })
}

/// `value` as the result of an operation on `xs` alone. `gradient` is given the result and its gradient.
pub(super) fn with_gradient<F>(name: &'static str, xs: &Tensor, value: Tensor, gradient: F) -> Result<Tensor>
where
    F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    if !xs.track_op() {
        return Ok(value);
    }
    xs.apply_op2(&value.detach().contiguous()?, GivenGradient { name, gradient })
}

struct GivenGradient<F> {
    name: &'static str,
    gradient: F,
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync> CustomOp2 for GivenGradient<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, value: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        copied(value, layout)
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        value: &CudaStorage,
        layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        copied(value, layout)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, value: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some((self.gradient)(&value.detach(), &grad.detach().contiguous()?)?), None))
    }
}

struct GivenGradients<F> {
    name: &'static str,
    gradients: F,
}

/// The value again: a node cannot take over the memory of an argument.
fn copied<S: BackendStorage>(value: &S, layout: &Layout) -> Result<(S, Shape)> {
    if layout.start_offset() != 0 {
        bail!("internal: a value that begins inside its memory");
    }
    Ok((value.try_clone(layout)?, layout.shape().clone()))
}

impl<F> CustomOp3 for GivenGradients<F>
where
    F: Fn([&Tensor; 2], &Tensor, [bool; 2]) -> Result<Gradients> + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        value: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        copied(value, layout)
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        value: &CudaStorage,
        layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        copied(value, layout)
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let needed = [xs.track_op(), weight.track_op()];
        let inputs = [&xs.detach().contiguous()?, &weight.detach().contiguous()?];
        let (xs, weight) = (self.gradients)(inputs, &grad.detach().contiguous()?, needed)?;
        Ok((xs, weight, None))
    }
}
