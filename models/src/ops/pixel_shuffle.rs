//! Sub-pixel upsampling (Shi et al., 2016): channels become pixels.

use candle_core::Tensor;

use super::{Result, portable};

/// ys[b, c, h r + i, w r + j] = xs[b, c r^2 + i r + j, h, w].
///
/// # Shapes
/// xs (B, C r^2, H, W) -> (B, C, H r, W r)
pub fn pixel_shuffle(xs: &Tensor, r: usize) -> Result<Tensor> {
    portable::pixel_shuffle(xs, r)
}
