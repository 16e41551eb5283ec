//! Batch normalisation (Ioffe and Szegedy 2015) over all axes but the channels.

use candle_core::{Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};

use crate::mode::Mode;
use crate::ops;

const EPS: f64 = 1e-5;
/// How far the running statistics move to each batch's.
const MOMENTUM: f64 = 0.1;

/// Channels brought to mean 0 and variance 1 over the batch, then scaled and shifted.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Var,
    running_var: Var,
}

impl BatchNorm {
    /// Reads `weight`, `bias`, `running_mean` and `running_var`, each (channels).
    pub fn new(channels: usize, vb: VarBuilder) -> Result<Self> {
        let read = |name, value| vb.get_with_hints(channels, name, Init::Const(value));
        Ok(Self {
            weight: read("weight", 1.)?,
            bias: read("bias", 0.)?,
            // In training these are the variables of `Params` themselves, so that a checkpoint holds them.
            running_mean: Var::from_tensor(&read("running_mean", 0.)?)?,
            running_var: Var::from_tensor(&read("running_var", 1.)?)?,
        })
    }

    /// In training the running statistics move towards the batch's, the variance with Bessel's correction as in PyTorch.
    ///
    /// # Shapes
    /// - `xs`: (B, C, ...); output the same
    pub fn forward(&self, xs: &Tensor, mode: &Mode) -> Result<Tensor> {
        if let Mode::Eval = mode {
            let (mean, var) = (self.running_mean.as_detached_tensor(), self.running_var.as_detached_tensor());
            return ops::batch_norm_eval(xs, &mean, &var, &self.weight, &self.bias, EPS);
        }
        let (ys, mean, var) = ops::batch_norm_train(xs, &self.weight, &self.bias, EPS)?;
        let values = (xs.elem_count() / xs.dim(1)?) as f64;
        let var = (var.detach() * (values / (values - 1.).max(1.)))?;
        for (running, batch) in [(&self.running_mean, mean.detach()), (&self.running_var, var)] {
            running.set(&((running.as_detached_tensor() * (1. - MOMENTUM))? + (batch * MOMENTUM)?)?)?;
        }
        Ok(ys)
    }

    /// The same map in inference as `xs * scale + shift`: (scale, shift), each (channels).
    pub(crate) fn folded(&self) -> Result<(Tensor, Tensor)> {
        let scale = (self.weight.detach() / (self.running_var.as_detached_tensor() + EPS)?.sqrt()?)?;
        let shift = (self.bias.detach() - (self.running_mean.as_detached_tensor() * &scale)?)?;
        Ok((scale, shift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{difference, noise};
    use crate::mode::DropoutRng;
    use crate::params::Params;
    use candle_core::Device;

    #[test]
    fn running_statistics_follow_the_batches_and_serve_inference() {
        let params = Params::new(1, &Device::Cpu);
        let norm = BatchNorm::new(3, params.builder()).unwrap();
        let xs = ((noise((4, 3, 5, 6), 2) * 2.).unwrap() + 3.).unwrap();
        let rng = DropoutRng::new(1);
        let trained = norm.forward(&xs, &Mode::Train(&rng)).unwrap();
        let mean = xs.mean((0, 2, 3)).unwrap();
        let var = |name: &str| params.vars().into_iter().find(|(known, _)| known == name).unwrap().1;
        assert!(difference(&var("running_mean"), &(&mean * 0.1).unwrap()) < 1e-6);
        for _ in 0..200 {
            norm.forward(&xs, &Mode::Train(&rng)).unwrap();
        }
        assert!(difference(&var("running_mean"), &mean) < 1e-4);
        // Bessel's correction: 120 values a channel.
        let eval = norm.forward(&xs, &Mode::Eval).unwrap();
        assert!(difference(&eval, &(trained * (119f64 / 120.).sqrt()).unwrap()) < 1e-3);
        let (scale, shift) = norm.folded().unwrap();
        let (scale, shift) = (scale.reshape((1, 3, 1, 1)).unwrap(), shift.reshape((1, 3, 1, 1)).unwrap());
        let folded = xs.broadcast_mul(&scale).unwrap().broadcast_add(&shift).unwrap();
        assert!(difference(&eval, &folded) < 1e-5);
    }
}
