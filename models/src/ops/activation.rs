//! Elementwise activations.

use std::mem::MaybeUninit;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use super::cpu::{View, elements, has_kernels, simd, tensor, written_in_tasks};
use super::{Result, approx, portable};

/// max(x, 0); the gradient at 0 is 0.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    leaky_relu(xs, 0.0)
}

/// x where x > 0, else slope * x.
pub fn leaky_relu(xs: &Tensor, slope: f64) -> Result<Tensor> {
    apply(xs, LeakyRelu(slope as f32), |xs| portable::leaky_relu(xs, slope))
}

/// Hyperbolic tangent.
pub fn tanh(xs: &Tensor) -> Result<Tensor> {
    apply(xs, Tanh, Tensor::tanh)
}

/// 1 / (1 + exp(-x)).
pub fn sigmoid(xs: &Tensor) -> Result<Tensor> {
    apply(xs, Sigmoid, portable::sigmoid)
}

/// x * sigmoid(x).
pub fn silu(xs: &Tensor) -> Result<Tensor> {
    apply(xs, Silu, Tensor::silu)
}

/// GELU in the tanh approximation: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel, 2016).
pub fn gelu(xs: &Tensor) -> Result<Tensor> {
    apply(xs, Gelu, Tensor::gelu)
}

fn apply<A: Activation>(xs: &Tensor, activation: A, portable: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if has_kernels(xs) { xs.contiguous()?.apply_op1(Elementwise(activation)) } else { portable(xs) }
}

trait Activation: Send + Sync + Copy + 'static {
    const NAME: &'static str;
    fn value(self, x: f32) -> f32;
    /// The derivative at x, where the value is y.
    fn slope(self, x: f32, y: f32) -> f32;
}

#[derive(Clone, Copy)]
struct LeakyRelu(f32);

impl Activation for LeakyRelu {
    const NAME: &'static str = "leaky-relu";

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        if x > 0.0 { x } else { self.0 * x }
    }

    #[inline(always)]
    fn slope(self, x: f32, _: f32) -> f32 {
        if x > 0.0 { 1.0 } else { self.0 }
    }
}

#[derive(Clone, Copy)]
struct Tanh;

impl Activation for Tanh {
    const NAME: &'static str = "tanh";

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        approx::tanh(x)
    }

    #[inline(always)]
    fn slope(self, _: f32, y: f32) -> f32 {
        1.0 - y * y
    }
}

#[derive(Clone, Copy)]
struct Sigmoid;

impl Activation for Sigmoid {
    const NAME: &'static str = "sigmoid";

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        approx::sigmoid(x)
    }

    #[inline(always)]
    fn slope(self, _: f32, y: f32) -> f32 {
        y * (1.0 - y)
    }
}

#[derive(Clone, Copy)]
struct Silu;

impl Activation for Silu {
    const NAME: &'static str = "silu";

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * approx::sigmoid(x)
    }

    #[inline(always)]
    fn slope(self, x: f32, y: f32) -> f32 {
        let s = approx::sigmoid(x);
        s + y * (1.0 - s)
    }
}

#[derive(Clone, Copy)]
struct Gelu;

impl Gelu {
    /// 2 sqrt(2 / pi)
    const SCALE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
    const CUBIC: f32 = 0.044_715;
    /// Below this the gate is less than 1e-13.
    const SHUT: f32 = -30.0;

    /// (1 + tanh(u)) / 2 = sigmoid(2u) with 2u = SCALE (x + CUBIC x^3).
    ///
    /// Far down it is 0 as it is in 32 bits where tanh is computed, not the 1e-38 of the logistic function: times a
    /// gradient that would be a subnormal number, and a matrix product of those takes ten times as long on many processors.
    #[inline(always)]
    fn gate(x: f32) -> f32 {
        let u2 = Self::SCALE * x * (1.0 + Self::CUBIC * x * x);
        if u2 < Self::SHUT { 0.0 } else { approx::sigmoid(u2) }
    }
}

impl Activation for Gelu {
    const NAME: &'static str = "gelu";

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * Self::gate(x)
    }

    #[inline(always)]
    fn slope(self, x: f32, _: f32) -> f32 {
        let s = Self::gate(x);
        s + x * s * (1.0 - s) * Self::SCALE * (1.0 + 3.0 * Self::CUBIC * x * x)
    }
}

simd! {
    fn forward[A: Activation](activation: A, xs: &[f32], ys: &mut [MaybeUninit<f32>]) {
        for (y, x) in ys.iter_mut().zip(xs) {
            y.write(activation.value(*x));
        }
    }
}

simd! {
    fn backward[A: Activation](activation: A, xs: &[f32], ys: &[f32], grads: &[f32], dst: &mut [MaybeUninit<f32>]) {
        for (((d, x), y), g) in dst.iter_mut().zip(xs).zip(ys).zip(grads) {
            d.write(*g * activation.slope(*x, *y));
        }
    }
}

struct Elementwise<A>(A);

impl<A: Activation> CustomOp1 for Elementwise<A> {
    fn name(&self) -> &'static str {
        A::NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let xs = elements(storage, layout)?;
        let write = |start: usize, ys: &mut [_]| forward(self.0, &xs[start..start + ys.len()], ys);
        // SAFETY: the loop writes an element for each of as many inputs.
        let ys = unsafe { written_in_tasks(xs.len(), write) };
        Ok((CpuStorage::F32(ys), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (xs, ys, grads) = (View::new(arg)?, View::new(res)?, View::new(&grad)?);
        let (xs, ys, grads) = (&*xs, &*ys, &*grads);
        let write = |start: usize, dst: &mut [_]| {
            let end = start + dst.len();
            backward(self.0, &xs[start..end], &ys[start..end], &grads[start..end], dst);
        };
        // SAFETY: the loop writes an element for each of as many inputs.
        let dst = unsafe { written_in_tasks(xs.len(), write) };
        Ok(Some(tensor(dst, arg.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest errors of the kernel's value, relative to max(1, |value|), and slope against f64 definitions.
    fn worst<A: Activation>(activation: A, value: fn(f64) -> f64) -> (f64, f64) {
        let mut worst = (0f64, 0f64);
        for i in -40_000..=40_000 {
            let x = i as f32 / 2_000.0;
            let exact = value(f64::from(x));
            let y = activation.value(x);
            worst.0 = worst.0.max((f64::from(y) - exact).abs() / exact.abs().max(1.0));
            let h = 1e-5;
            let slope = (value(f64::from(x) + h) - value(f64::from(x) - h)) / (2.0 * h);
            worst.1 = worst.1.max((f64::from(activation.slope(x, y)) - slope).abs());
        }
        worst
    }

    #[test]
    fn values_and_slopes_match_their_definitions() {
        let gelu = |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
        for (name, (value, slope)) in [
            ("tanh", worst(Tanh, f64::tanh)),
            ("sigmoid", worst(Sigmoid, |x| 1.0 / (1.0 + (-x).exp()))),
            ("silu", worst(Silu, |x| x / (1.0 + (-x).exp()))),
            ("gelu", worst(Gelu, gelu)),
        ] {
            // A slope near 1 loses a digit to cancellation in 1 - s.
            assert!(value < 1e-6 && slope < 3e-6, "{name}: value off by {value:e}, slope by {slope:e}");
        }
    }

    #[test]
    fn gelu_leaves_no_subnormal_numbers_to_matrix_products() {
        for x in (0..=40_000).map(|i| -(i as f32) / 1_000.0) {
            let y = Gelu.value(x);
            let grad = 1e-9 * Gelu.slope(x, y);
            assert!(!y.is_subnormal() && !grad.is_subnormal(), "{x}: {y:e}, {grad:e}");
        }
    }
}
