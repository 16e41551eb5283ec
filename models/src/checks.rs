//! Helpers of this crate's tests.

use candle_core::{Device, Result, Tensor};

use crate::params::Params;

/// Deterministic values within -1..1.
pub(crate) fn noise(shape: impl Into<candle_core::Shape>, seed: u64) -> Tensor {
    let params = Params::new(seed, &Device::Cpu);
    let init = candle_nn::Init::Uniform { lo: -1., up: 1. };
    params.builder().get_with_hints(shape.into(), "noise", init).unwrap().detach()
}

/// Deterministic ids below `n`.
pub(crate) fn ids(shape: impl Into<candle_core::Shape>, n: usize, seed: u64) -> Tensor {
    let unit = ((noise(shape, seed) + 1.).unwrap() * 0.4999).unwrap();
    (unit * n as f64).unwrap().floor().unwrap().to_dtype(candle_core::DType::U32).unwrap()
}

/// The largest absolute difference of two tensors of one shape.
pub(crate) fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

/// The bits of all values.
pub(crate) fn bits(xs: &Tensor) -> Vec<u32> {
    xs.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|x| x.to_bits()).collect()
}

/// Compares the gradient of each variable with central differences along a direction of that variable.
///
/// `loss` must be a function of the variables alone, dropout masks included. A long step suffers from kinks (ReLU, |x|)
/// and curvature, a short one from f32's rounding: one of four must agree. Returns for how many variables that says
/// something, the slope being many times what rounding makes up.
pub(crate) fn check_gradients(params: &Params, loss: impl Fn() -> Result<Tensor>) -> usize {
    let number = |xs: &Tensor| f64::from(xs.to_scalar::<f32>().unwrap());
    let size = |xs: &Tensor| number(&xs.sqr().unwrap().sum_all().unwrap()).sqrt();
    let unit = |xs: &Tensor| (xs / (size(xs) + 1e-12)).unwrap();
    let centre = loss().unwrap();
    let grads = centre.backward().unwrap();
    // What a slope may be wrong by: a few units in the last place of the loss.
    let rounding = |step: f64| 5e-7 * number(&centre).abs().max(1e-3) / step;
    let mut compared = 0;
    for (i, (name, var)) in params.trainable().into_iter().enumerate() {
        let Some(grad) = grads.get(&var) else { panic!("{name} has no gradient") };
        let start = var.as_tensor().copy().unwrap().detach();
        // Near the gradient, so that the slope is large; blurred, so that every element takes part.
        let random = unit(&noise(var.shape(), 1000 + i as u64));
        let direction = unit(&(unit(grad) + (random * 0.5).unwrap()).unwrap());
        let expected = number(&(grad * &direction).unwrap().sum_all().unwrap());
        let value = |step: f64| {
            var.set(&(&start + (&direction * step).unwrap()).unwrap()).unwrap();
            number(&loss().unwrap())
        };
        let mut tried = Vec::new();
        let agreed = [2e-2, 5e-3, 1e-3, 3e-4].into_iter().find(|step| {
            let slope = (value(*step) - value(-step)) / (2. * step);
            tried.push((*step, slope));
            (slope - expected).abs() <= 0.03 * expected.abs() + 2. * rounding(*step)
        });
        var.set(&start).unwrap();
        let Some(step) = agreed else {
            panic!("{name}: gradient {expected}, finite differences {tried:?}");
        };
        compared += usize::from(expected.abs() > 10. * rounding(step));
    }
    compared
}
