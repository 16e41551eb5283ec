//! Elementwise activations.

use candle_core::Tensor;

use super::{Result, portable};

/// max(x, 0); the gradient at 0 is 0.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    portable::leaky_relu(xs, 0.0)
}

/// x where x > 0, else slope * x.
pub fn leaky_relu(xs: &Tensor, slope: f64) -> Result<Tensor> {
    portable::leaky_relu(xs, slope)
}

/// Hyperbolic tangent.
pub fn tanh(xs: &Tensor) -> Result<Tensor> {
    xs.tanh()
}

/// 1 / (1 + exp(-x)).
pub fn sigmoid(xs: &Tensor) -> Result<Tensor> {
    portable::sigmoid(xs)
}

/// x * sigmoid(x).
pub fn silu(xs: &Tensor) -> Result<Tensor> {
    xs.silu()
}

/// GELU in the tanh approximation: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel, 2016).
pub fn gelu(xs: &Tensor) -> Result<Tensor> {
    xs.gelu()
}
