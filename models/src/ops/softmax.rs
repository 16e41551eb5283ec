//! Softmax over the last axis.

use candle_core::Tensor;

use super::{Result, portable};

/// exp(x - max) / sum of exp(x - max) over the last axis.
///
/// # Shapes
/// xs (..., C) -> (..., C)
pub fn softmax_last(xs: &Tensor) -> Result<Tensor> {
    portable::softmax_last(xs)
}
