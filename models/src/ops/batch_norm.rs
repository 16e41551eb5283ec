//! Batch normalisation (Ioffe and Szegedy, 2015) of axis 1 over all the other axes.

use candle_core::Tensor;

use super::{Result, portable};

/// Normalises by the statistics of this batch; returns the result, the mean and the biased variance.
///
/// Mean and variance carry no gradient of their own: they are for the running statistics.
///
/// # Shapes
/// xs (B, C, ...), weight (C), bias (C) -> (B, C, ...), (C), (C)
pub fn batch_norm_train(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
    portable::batch_norm_train(xs, weight, bias, eps)
}

/// Normalises by given statistics.
///
/// # Shapes
/// xs (B, C, ...), mean, variance, weight, bias (C) -> (B, C, ...)
pub fn batch_norm_eval(
    xs: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    portable::batch_norm_eval(xs, mean, variance, weight, bias, eps)
}
