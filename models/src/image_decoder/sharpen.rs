//! Unsharp masking of decoded images: x + amount (x - blurred x), between 0 and 1. Inference only: it has no gradient.
//!
//! Where a net is unsure, L1 makes it answer with the middle of all images that may be, in which fine detail is weak: teeth,
//! the edges of lips. Their amplitude is restored after the fact, as that of motion is.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::sharpness::{LUMA, covariance, laplacian};
use crate::identity_encoder::IMAGE_WIDTH;
use crate::{ops, simd};

/// Weights of the blur on either axis, over 16: binomial, a standard deviation of one pixel.
const BLUR: [f32; 5] = [1., 4., 6., 4., 1.];
/// Pixels on each side that it reads; beyond the border the edge goes on.
const REACH: usize = BLUR.len() / 2;

/// # Shapes
/// - `images`: (N, C, H, W); output the same
pub(super) fn sharpen(images: &Tensor, amount: f64) -> Result<Tensor> {
    if amount == 0. {
        return Ok(images.clone());
    }
    if ops::has_kernels(images) {
        return images.contiguous()?.apply_op1_no_bwd(&Sharpen { amount: amount as f32 });
    }
    let blurred = blur(&blur(images, 3)?, 2)?;
    (images + ((images - blurred)? * amount)?)?.clamp(0f32, 1f32)
}

/// What an image must be sharpened by, at most [`MOST`], to be as sharp as a share of another.
///
/// # Shapes
/// - `image`, `other`: (3, H, W)
pub(super) fn amount(image: &Tensor, other: &Tensor, share: f64) -> Result<f64> {
    const MOST: f64 = 2.5;
    let (image, other) = (luma(image)?, luma(other)?);
    let detail = (&image - blur(&blur(&image, 1)?, 0)?)?;
    // Sharpened by a, the Laplacian is l + a d.
    let (l, d, wanted) = (laplacian_of(&image)?, laplacian_of(&detail)?, laplacian_of(&other)?);
    let (plain, both, full) = (covariance(&l, &l), covariance(&l, &d), covariance(&d, &d));
    let missing = share * covariance(&wanted, &wanted) - plain;
    if missing <= 0. || full <= 0. {
        return Ok(0.);
    }
    Ok((((both * both + full * missing).sqrt() - both) / full).min(MOST))
}

/// (3, H, W) as (H, W): luma and Laplacian may change places, and one plane is a third of the work.
fn luma(image: &Tensor) -> Result<Tensor> {
    let weights = Tensor::new(&LUMA, image.device())?.to_dtype(image.dtype())?.reshape((3, 1, 1))?;
    image.broadcast_mul(&weights)?.sum(0)
}

/// [`laplacian`] of (H, W).
fn laplacian_of(luma: &Tensor) -> Result<Vec<f64>> {
    let (height, width) = luma.dims2()?;
    let lines = luma.to_vec2::<f32>()?;
    Ok(laplacian([width, height], |x, y| f64::from(lines[y][x])))
}

/// Blurred along one axis.
fn blur(images: &Tensor, axis: usize) -> Result<Tensor> {
    let padded = images.pad_with_same(axis, REACH, REACH)?;
    let mut sum = images.zeros_like()?;
    for (tap, weight) in BLUR.iter().enumerate() {
        sum = (sum + (padded.narrow(axis, tap, images.dim(axis)?)? * f64::from(weight / 16.))?)?;
    }
    Ok(sum)
}

/// Sharpens a plane of images' width in place.
pub(super) fn sharpen_plane(amount: f32, plane: &mut [f32]) {
    sharpen_lines(amount, plane, IMAGE_WIDTH);
}

simd! {
    /// Sharpens a plane of lines in place.
    fn sharpen_lines(amount: f32, plane: &mut [f32], width: usize) {
        // The rows blurred from left to right, then from top to bottom.
        let mut across = vec![0f32; plane.len()];
        let mut padded = vec![0f32; width + 2 * REACH];
        for (xs, out) in plane.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
            padded[..REACH].fill(xs[0]);
            padded[REACH..][..width].copy_from_slice(xs);
            padded[REACH + width..].fill(xs[width - 1]);
            for (x, out) in out.iter_mut().enumerate() {
                *out = (0..BLUR.len()).map(|tap| BLUR[tap] / 16. * padded[x + tap]).sum();
            }
        }
        let height = plane.len() / width;
        for (y, line) in plane.chunks_exact_mut(width).enumerate() {
            let row = |tap: usize| &across[(y + tap).saturating_sub(REACH).min(height - 1) * width..][..width];
            let rows: [&[f32]; BLUR.len()] = std::array::from_fn(row);
            for (i, x) in line.iter_mut().enumerate() {
                let blurred: f32 = (0..BLUR.len()).map(|tap| BLUR[tap] / 16. * rows[tap][i]).sum();
                *x = (*x + amount * (*x - blurred)).clamp(0., 1.);
            }
        }
    }
}

struct Sharpen {
    amount: f32,
}

impl CustomOp1 for Sharpen {
    fn name(&self) -> &'static str {
        "image-decoder-sharpen"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (images, channels, height, width) = layout.shape().dims4()?;
        let plane = height * width;
        let xs = &storage.as_slice::<f32>()?[layout.start_offset()..][..images * channels * plane];
        let mut ys = xs.to_vec();
        if plane > 0 {
            ys.par_chunks_exact_mut(plane).for_each(|plane| sharpen_lines(self.amount, plane, width));
        }
        Ok((CpuStorage::F32(ys), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{difference, noise};

    /// The definition, pixel by pixel.
    fn defined(images: &Tensor, amount: f32) -> Tensor {
        let (n, c, h, w) = images.dims4().unwrap();
        let xs: Vec<f32> = images.flatten_all().unwrap().to_vec1().unwrap();
        let at = |plane: usize, y: isize, x: isize| {
            let (y, x) = (y.clamp(0, h as isize - 1) as usize, x.clamp(0, w as isize - 1) as usize);
            xs[(plane * h + y) * w + x]
        };
        let sharp = |i: usize| {
            let (plane, y, x) = (i / (h * w), (i / w % h) as isize, (i % w) as isize);
            let taps = (0..25).map(|k| {
                let (dy, dx) = (k / 5, k % 5);
                BLUR[dy] * BLUR[dx] / 256. * at(plane, y + dy as isize - 2, x + dx as isize - 2)
            });
            let value = at(plane, y, x);
            (value + amount * (value - taps.sum::<f32>())).clamp(0., 1.)
        };
        Tensor::from_vec((0..n * c * h * w).map(sharp).collect::<Vec<_>>(), images.dims(), images.device()).unwrap()
    }

    #[test]
    fn sharpened_images_are_as_defined() {
        for dims in [(2, 3, 9, 11), (1, 2, 1, 3)] {
            let images = ops::sigmoid(&noise(dims, 4)).unwrap();
            let expected = defined(&images, 0.8);
            assert!(difference(&sharpen(&images, 0.8).unwrap(), &expected) < 1e-6);
            ops::compose_on_this_thread(true);
            let composed = sharpen(&images, 0.8).unwrap();
            ops::compose_on_this_thread(false);
            assert!(difference(&composed, &expected) < 1e-6);
            assert_eq!(difference(&sharpen(&images, 0.).unwrap(), &images), 0.);
        }
    }

    /// The amount does what it is asked for, by the variance of the Laplacian itself; a sharper image is left alone.
    #[test]
    fn images_become_as_sharp_as_asked() {
        let other = (noise((1, 3, 80, 160), 5) * 0.05).unwrap().squeeze(0).unwrap();
        let other = (other + 0.5).unwrap();
        let once = blur(&blur(&other.unsqueeze(0).unwrap(), 3).unwrap(), 2).unwrap();
        let image = (once * 0.6).unwrap().squeeze(0).unwrap();
        let variance = |image: &Tensor| {
            let values = laplacian_of(&luma(image).unwrap()).unwrap();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64
        };
        let share = 4. * variance(&image) / variance(&other);
        let by = amount(&image, &other, share).unwrap();
        let sharp = sharpen(&image.unsqueeze(0).unwrap(), by).unwrap().squeeze(0).unwrap();
        assert!(by > 0.1 && by < 2.5, "{by}");
        assert!((variance(&sharp) / variance(&other) / share - 1.).abs() < 0.01, "{by}");
        assert_eq!(amount(&other, &image, 1.).unwrap(), 0.);
    }
}
