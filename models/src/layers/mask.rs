//! Masks of padded batches, and vectors repeated over time.

use candle_core::{DType, Result, Tensor};

use crate::length_regulator::regulate;
use crate::ops::has_kernels;

/// Sets padded positions to zero.
///
/// # Shapes
/// - `xs`: (B, T, C); output the same
/// - `mask`: (B, T), 1 where a position is real and 0 where it is padding; `None`: all are real
pub fn apply_mask(xs: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    match mask {
        Some(mask) => xs.broadcast_mul(&mask.unsqueeze(2)?),
        None => Ok(xs.clone()),
    }
}

/// Repeats one vector of each sequence over all its positions.
///
/// On the CPU a gather and not a broadcast: the gradient of candle's broadcast is a strided sum, many times slower there.
///
/// # Shapes
/// - `vectors`: (B, C)
/// - output: (B, T, C)
pub fn repeat_over_time(vectors: &Tensor, positions: usize) -> Result<Tensor> {
    if !has_kernels(vectors) {
        let (batch, channels) = vectors.dims2()?;
        return vectors.unsqueeze(1)?.broadcast_as((batch, positions, channels))?.contiguous();
    }
    let index = Tensor::zeros((vectors.dim(0)?, positions), DType::U32, vectors.device())?;
    regulate(&vectors.unsqueeze(1)?, &index)
}
