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

/// Compares the gradient of each variable with central differences along a random direction of that variable.
///
/// `loss` must be a function of the variables alone, dropout masks included. Returns how many variables were compared
/// (those whose gradient along the direction stands out of f32 rounding).
pub(crate) fn check_gradients(params: &Params, loss: impl Fn() -> Result<Tensor>) -> usize {
    let centre = loss().unwrap();
    let scale = f64::from(centre.to_scalar::<f32>().unwrap().abs()).max(1e-3);
    let grads = centre.backward().unwrap();
    let value = |step: f64, direction: &Tensor, start: &Tensor, var: &candle_core::Var| {
        var.set(&(start + (direction * step).unwrap()).unwrap()).unwrap();
        f64::from(loss().unwrap().to_scalar::<f32>().unwrap())
    };
    let step = 1e-2;
    let mut compared = 0;
    for (i, (name, var)) in params.trainable().into_iter().enumerate() {
        let Some(grad) = grads.get(&var) else { panic!("{name} has no gradient") };
        let start = var.as_tensor().copy().unwrap().detach();
        // Along the gradient where it is, blurred by noise, so that every element takes part and the change is large.
        let size = |xs: &Tensor| f64::from(xs.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()).sqrt();
        let random = noise(var.shape(), 1000 + i as u64);
        let unit = |xs: &Tensor| (xs / (size(xs) + 1e-12)).unwrap();
        let direction = unit(&(unit(grad) + (unit(&random) * 0.5).unwrap()).unwrap());
        let expected = f64::from((grad * &direction).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap());
        let (up, down) = (value(step, &direction, &start, &var), value(-step, &direction, &start, &var));
        var.set(&start).unwrap();
        let measured = (up - down) / (2. * step);
        // f32 keeps about 1e-7 of the loss; kinks of |x| and ReLU add a little.
        let floor = 4e-7 * scale / step;
        assert!(
            (measured - expected).abs() <= 0.03 * expected.abs() + 3. * floor,
            "{name}: gradient {expected}, finite difference {measured} (floor {floor})"
        );
        compared += usize::from(expected.abs() > 20. * floor);
    }
    compared
}
