//! AdamW's formula on a device of its own, where every operation costs the launch of a kernel: all parameters side by side
//! in one vector, so that a step is a few operations on it and not a few on each of hundreds of parameters.

use candle_core::{Device, Result, Tensor, Var};

use super::optimiser::{AdamWOptions, Rates};

/// The state of all parameters, one after the other, (elements).
pub(super) struct DeviceMoments {
    /// Elements of each parameter.
    lengths: Vec<usize>,
    /// Mean of the gradient.
    mean: Tensor,
    /// Mean of its square.
    square: Tensor,
    /// Each element's part of the learning rate.
    rate_share: Tensor,
    /// Each element's weight decay for a step of learning rate 1.
    decay: Tensor,
    /// Which parameters had a gradient in the last step, and 1 for each of their elements, else 0.
    known: (Vec<bool>, Tensor),
}

/// A vector with one value for all elements of each parameter.
fn spread(values: &[f32], lengths: &[usize], device: &Device) -> Result<Tensor> {
    let all: Vec<f32> =
        values.iter().zip(lengths).flat_map(|(value, length)| std::iter::repeat_n(*value, *length)).collect();
    let length = all.len();
    Tensor::from_vec(all, length, device)
}

/// Parameters or what is like them, one after the other.
fn joined(tensors: &[Tensor]) -> Result<Tensor> {
    let flat = tensors.iter().map(|tensor| tensor.detach().contiguous()?.flatten_all()).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&flat, 0)
}

impl DeviceMoments {
    /// Moments of zero. `rates` gives each parameter's part of the learning rate.
    pub(super) fn new(vars: &[&Var], rates: &[f64], options: &AdamWOptions, device: &Device) -> Result<Self> {
        let lengths: Vec<usize> = vars.iter().map(|var| var.elem_count()).collect();
        let decay = |var: &&Var| if var.rank() > 1 { options.weight_decay as f32 } else { 0.0 };
        let decay: Vec<f32> = vars.iter().map(decay).collect();
        let rates: Vec<f32> = rates.iter().map(|rate| *rate as f32).collect();
        let mean = spread(&vec![0.0; vars.len()], &lengths, device)?;
        Ok(Self {
            square: mean.zeros_like()?,
            rate_share: spread(&rates, &lengths, device)?,
            decay: spread(&decay, &lengths, device)?,
            known: (vec![true; vars.len()], mean.ones_like()?),
            mean,
            lengths,
        })
    }

    /// All gradients, with zeros where there is none.
    pub(super) fn gradients(&mut self, grads: Vec<Option<Tensor>>) -> Result<Tensor> {
        let device = self.mean.device().clone();
        let known: Vec<bool> = grads.iter().map(Option::is_some).collect();
        if known != self.known.0 {
            let ones: Vec<f32> = known.iter().map(|known| f32::from(*known)).collect();
            self.known = (known, spread(&ones, &self.lengths, &device)?);
        }
        let grads = grads.into_iter().zip(&self.lengths).map(|(grad, &length)| match grad {
            Some(grad) => Ok(grad),
            None => Tensor::zeros(length, candle_core::DType::F32, &device),
        });
        joined(&grads.collect::<Result<Vec<_>>>()?)
    }

    /// One step of all parameters down [`DeviceMoments::gradients`]; one without a gradient stays as it is.
    pub(super) fn update(
        &mut self,
        vars: &[&Var],
        grads: &Tensor,
        options: &AdamWOptions,
        rates: &Rates,
    ) -> Result<()> {
        let known = &self.known.1;
        let grads = (grads * rates.scale)?;
        let towards = |old: &Tensor, new: &Tensor, share: f64| old + ((new - old)? * (known * share)?)?;
        self.mean = towards(&self.mean, &grads, 1.0 - options.beta1)?;
        self.square = towards(&self.square, &grads.sqr()?, 1.0 - options.beta2)?;
        let root = ((&self.square / rates.square_correction)?.sqrt()? + options.eps)?;
        let values = joined(&vars.iter().map(|var| var.as_detached_tensor()).collect::<Vec<_>>())?;
        let down = ((&self.mean / rates.mean_correction)?.div(&root)? + (&values * &self.decay)?)?;
        let values = (values - (down * (known * (&self.rate_share * rates.learning_rate)?)?)?)?;
        let mut start = 0;
        for (var, &length) in vars.iter().zip(&self.lengths) {
            var.set(&values.narrow(0, start, length)?.reshape(var.shape())?)?;
            start += length;
        }
        Ok(())
    }

    /// Mean and square of each parameter, on the CPU.
    pub(super) fn state(&self, vars: &[&Var]) -> Result<Vec<[Tensor; 2]>> {
        let (mean, square) = (self.mean.to_device(&Device::Cpu)?, self.square.to_device(&Device::Cpu)?);
        let mut start = 0;
        let part = |var: &&Var| {
            let of = |all: &Tensor| all.narrow(0, start, var.elem_count())?.reshape(var.shape());
            let part = Ok([of(&mean)?, of(&square)?]);
            start += var.elem_count();
            part
        };
        vars.iter().map(part).collect()
    }

    /// Takes back what [`DeviceMoments::state`] gave.
    pub(super) fn restore(&mut self, state: &[[Tensor; 2]]) -> Result<()> {
        let of = |which: usize| {
            let tensors: Vec<Tensor> = state.iter().map(|pair| pair[which].clone()).collect();
            joined(&tensors)?.to_device(self.mean.device())
        };
        (self.mean, self.square) = (of(0)?, of(1)?);
        Ok(())
    }
}
