//! Affine map of the last axis.

use candle_core::Tensor;

use super::{Result, portable};

/// xs weight^T + bias.
///
/// # Shapes
/// xs (..., I), weight (O, I), bias (O) -> (..., O)
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    portable::linear(xs, weight, bias)
}
