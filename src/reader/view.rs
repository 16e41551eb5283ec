//! What a lip reader sees of a film: the middle of each crop at half its size, in grey, free of lighting and camera.

use paravox_models::lip_reader::{VIEW_HEIGHT, VIEW_WIDTH};

use crate::face::{CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};

/// Pixels of a view.
pub(crate) const VIEW_PIXELS: usize = VIEW_HEIGHT * VIEW_WIDTH;
/// How far a view can be moved in a crop to either side and still lie in it, in crop pixels.
const MARGIN: i32 = ((CROP_WIDTH - 2 * VIEW_WIDTH) / 2) as i32;
/// Weights of red, green and blue in grey (ITU-R BT.601), in 256ths.
const LUMA: [u32; 3] = [77, 150, 29];

/// How a film is looked at: as it is, or as another one might have been filmed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    /// Left and right exchanged.
    pub(crate) mirrored: bool,
    /// Crop pixels to the right and down that the view is moved by; at most 16 either way.
    pub(crate) shift: [i32; 2],
}

/// The views of video frames `order` of a film, of mean 0 and variance 1 over all of them.
///
/// # Shapes
/// `crops` (T, 80, 160, 3), RGB -> (order, 40, 64)
pub(crate) fn views(crops: &[u8], order: impl Iterator<Item = usize>, look: Look) -> Vec<f32> {
    let mut views = Vec::new();
    for k in order {
        view(&crops[k * CROP_BYTES..(k + 1) * CROP_BYTES], look, &mut views);
    }
    let n = views.len().max(1) as f64;
    let mean = views.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = views.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    let (mean, scale) = (mean as f32, (1.0 / variance.max(1e-6).sqrt()) as f32);
    views.iter_mut().for_each(|x| *x = (*x - mean) * scale);
    views
}

fn view(crop: &[u8], look: Look, views: &mut Vec<f32>) {
    let left = (MARGIN + look.shift[0].clamp(-MARGIN, MARGIN)) as usize;
    let grey = |x: usize, y: i32| {
        let y = y.clamp(0, CROP_HEIGHT as i32 - 1) as usize;
        let x = if look.mirrored { CROP_WIDTH - 1 - x } else { x };
        let pixel = &crop[(y * CROP_WIDTH + x) * 3..][..3];
        pixel.iter().zip(LUMA).map(|(&byte, weight)| u32::from(byte) * weight).sum::<u32>()
    };
    for y in 0..VIEW_HEIGHT as i32 {
        for x in 0..VIEW_WIDTH {
            let (x, y) = (left + 2 * x, 2 * y + look.shift[1]);
            let sum = grey(x, y) + grey(x + 1, y) + grey(x, y + 1) + grey(x + 1, y + 1);
            views.push(sum as f32 / 1024.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Brightness that rises to the right and, faster, downwards.
    fn film(gain: f32) -> Vec<u8> {
        let pixel = |i: usize| ((i % CROP_WIDTH) as f32 * 0.3 + (i / CROP_WIDTH) as f32) * gain;
        (0..2 * CROP_WIDTH * CROP_HEIGHT)
            .flat_map(|i| [pixel(i % (CROP_WIDTH * CROP_HEIGHT)) as u8 + (i / (CROP_WIDTH * CROP_HEIGHT)) as u8; 3])
            .collect()
    }

    #[test]
    fn views_are_the_halved_middle_and_know_no_lighting() {
        let of = |film: &[u8], look| views(film, [0, 1].into_iter(), look);
        let plain = of(&film(1.0), Look::default());
        assert_eq!(plain.len(), 2 * VIEW_PIXELS);
        let mean = plain.iter().sum::<f32>() / plain.len() as f32;
        let variance = plain.iter().map(|x| x * x).sum::<f32>() / plain.len() as f32;
        assert!(mean.abs() < 1e-3 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
        for (a, b) in plain.iter().zip(of(&film(2.0), Look::default())) {
            assert!((a - b).abs() < 0.06, "{a} {b}");
        }
        let raw = |mirrored, shift| {
            let mut pixels = Vec::new();
            view(&film(1.0)[..CROP_BYTES], Look { mirrored, shift }, &mut pixels);
            pixels
        };
        // Two crop pixels are one of the view.
        let (plain, shifted, mirrored) = (raw(false, [0, 0]), raw(false, [2, 4]), raw(true, [0, 0]));
        assert_eq!(shifted[7 * VIEW_WIDTH + 5], plain[9 * VIEW_WIDTH + 6]);
        assert_eq!(mirrored[..VIEW_WIDTH], plain[..VIEW_WIDTH].iter().rev().copied().collect::<Vec<_>>());
    }
}
