//! Images as bytes.

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use crate::ops;

/// Images as RGB bytes, rounded, a pixel's colours together, image after image.
///
/// # Shapes
/// - `images`: (N, 3, H, W) in 0..1; what is outside is cut off
pub fn to_bytes(images: &Tensor) -> Result<Vec<u8>> {
    let (_, colours, height, width) = images.dims4()?;
    if colours != 3 {
        candle_core::bail!("images have {colours} colours, not 3");
    }
    if !ops::has_kernels(images) {
        // A quarter of the data leaves the device.
        let levels = ((images.clamp(0f32, 1f32)? * 255.)? + 0.5)?.to_dtype(DType::U8)?;
        return levels.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1();
    }
    let plane = height * width;
    let values: Vec<f32> = images.flatten_all()?.to_vec1()?;
    let mut bytes = vec![0; values.len()];
    if plane > 0 {
        let pairs = bytes.par_chunks_exact_mut(3 * plane).zip(values.par_chunks_exact(3 * plane));
        pairs.for_each(|(bytes, values)| interleave(values, bytes));
    }
    Ok(bytes)
}

crate::simd! {
    /// Planes as pixels.
    pub(super) fn interleave(values: &[f32], bytes: &mut [u8]) {
        let (red, rest) = values.split_at(values.len() / 3);
        let (green, blue) = rest.split_at(values.len() / 3);
        let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        for (pixel, ((red, green), blue)) in bytes.as_chunks_mut::<3>().0.iter_mut().zip(red.iter().zip(green).zip(blue)) {
            *pixel = [byte(*red), byte(*green), byte(*blue)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn planes_become_pixels() {
        let values: [f32; 12] = [0.0, 1.0, 0.5, 0.5, 1.0, 0.0, -1.0, 2.0, 0.25, 0.0, 0.002, 1.0];
        let images = Tensor::from_slice(&values, (2, 3, 1, 2), &Device::Cpu).unwrap();
        for composed in [false, true] {
            ops::compose_on_this_thread(composed);
            assert_eq!(to_bytes(&images).unwrap(), [0, 128, 255, 255, 128, 0, 0, 64, 1, 255, 0, 255]);
        }
        ops::compose_on_this_thread(false);
        assert!(to_bytes(&images.reshape((3, 2, 1, 2)).unwrap()).is_err());
    }
}
