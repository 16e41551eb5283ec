//! Layer normalisation over the last axis (Ba et al., 2016).

use candle_core::Tensor;

use super::{Result, portable};

/// (x - mean) / sqrt(variance + eps) * weight + bias over the last axis, with the biased variance.
///
/// # Shapes
/// xs (..., C), weight (C), bias (C) -> (..., C)
pub fn layer_norm(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    portable::layer_norm(xs, weight, bias, eps)
}
