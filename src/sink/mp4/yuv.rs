//! RGB to planar YUV 4:2:0, ITU-R BT.601 matrix, limited range (luma 16..=235, chroma 16..=240).
//!
//! BT.601 at every size, because it is what a player that ignores the signalled matrix assumes for pictures of a face's
//! size; the stream signals it, for all others. Sizes are made even by repeating the last column and row.

use openh264::formats::YUVSource;
use paravox_models::simd;

use crate::sink::Picture;

/// One video frame as the encoder takes it.
#[derive(Debug, Clone)]
pub(super) struct Yuv {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Yuv {
    /// A video frame that holds pictures of `width` x `height`.
    pub(super) fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width.next_multiple_of(2) as usize, height.next_multiple_of(2) as usize);
        let chroma = vec![128; width * height / 4];
        Self { width, height, y: vec![16; width * height], u: chroma.clone(), v: chroma }
    }

    /// Converts a picture of the size given to [`Yuv::new`].
    pub(super) fn read(&mut self, picture: &Picture) {
        let (width, last_y) = (picture.width as usize, picture.height as usize - 1);
        let mut planes = [(); 2].map(|()| [(); 3].map(|()| vec![0; self.width]));
        let mut sums = [(); 3].map(|()| vec![0; self.width / 2]);
        for block_y in 0..self.height / 2 {
            for (dy, planes) in planes.iter_mut().enumerate() {
                let y = (2 * block_y + dy).min(last_y);
                apart(&picture.rgb[3 * width * y..][..3 * width], planes);
                luma(planes, &mut self.y[(2 * block_y + dy) * self.width..][..self.width]);
            }
            let half = self.width / 2;
            let (u, v) = (&mut self.u[block_y * half..][..half], &mut self.v[block_y * half..][..half]);
            chroma(&planes, &mut sums, u, v);
        }
    }
}

simd! {
    /// A line of pixels as three lines of colours; beyond its end it repeats its edge.
    fn apart(line: &[u8], planes: &mut [Vec<u8>; 3]) {
        let [red, green, blue] = planes;
        let pixels = line.as_chunks::<3>().0;
        for (((pixel, red), green), blue) in pixels.iter().zip(&mut *red).zip(&mut *green).zip(&mut *blue) {
            [*red, *green, *blue] = *pixel;
        }
        for plane in [red, green, blue] {
            let edge = plane[pixels.len() - 1];
            plane[pixels.len()..].fill(edge);
        }
    }
}

simd! {
    fn luma(planes: &[Vec<u8>; 3], ys: &mut [u8]) {
        let [red, green, blue] = planes;
        for (((y, red), green), blue) in ys.iter_mut().zip(red).zip(green).zip(blue) {
            *y = fixed([16_829, 33_039, 6_416], [red, green, blue].map(|value| i32::from(*value)), 16, 16);
        }
    }
}

simd! {
    /// Of 2x2 pixels each, whose colours are summed up first.
    fn chroma(lines: &[[Vec<u8>; 3]; 2], sums: &mut [Vec<i32>; 3], us: &mut [u8], vs: &mut [u8]) {
        for (c, sums) in sums.iter_mut().enumerate() {
            let [above, below] = lines.each_ref().map(|planes| planes[c].as_chunks::<2>().0);
            for ((sum, above), below) in sums.iter_mut().zip(above).zip(below) {
                *sum = i32::from(above[0]) + i32::from(above[1]) + i32::from(below[0]) + i32::from(below[1]);
            }
        }
        let [red, green, blue] = sums;
        for ((((u, v), red), green), blue) in us.iter_mut().zip(vs).zip(red).zip(green).zip(blue) {
            // The mean of four: two bits more to shift out.
            let sum = [*red, *green, *blue];
            *u = fixed([-9_714, -19_070, 28_784], sum, 128, 18);
            *v = fixed([28_784, -24_103, -4_681], sum, 128, 18);
        }
    }
}

/// `offset + weights . rgb / 2^shift`, rounded.
#[inline(always)]
fn fixed(weights: [i32; 3], rgb: [i32; 3], offset: i32, shift: u32) -> u8 {
    let dot = weights[0] * rgb[0] + weights[1] * rgb[1] + weights[2] * rgb[2];
    (offset + ((dot + (1 << (shift - 1))) >> shift)).clamp(0, 255) as u8
}

impl YUVSource for Yuv {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.y
    }

    fn u(&self) -> &[u8] {
        &self.u
    }

    fn v(&self) -> &[u8] {
        &self.v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BT.601-7, table 3 and clause 2.5.3, from the definition.
    fn by_definition([r, g, b]: [u8; 3]) -> [f64; 3] {
        let [r, g, b] = [r, g, b].map(|value| f64::from(value) / 255.0);
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        [16.0 + 219.0 * luma, 128.0 + 224.0 * (b - luma) / 1.772, 128.0 + 224.0 * (r - luma) / 1.402]
    }

    #[test]
    fn agrees_with_the_definition() {
        for i in 0..1000u32 {
            let colour = [i * 37 % 256, i * 91 % 256, i * 203 % 256].map(|value| value as u8);
            let mut yuv = Yuv::new(2, 2);
            yuv.read(&Picture { width: 2, height: 2, rgb: colour.repeat(4) });
            for (ours, expected) in [yuv.y[3], yuv.u[0], yuv.v[0]].iter().zip(by_definition(colour)) {
                assert!((f64::from(*ours) - expected).abs() <= 0.51, "{colour:?}: {ours} for {expected}");
            }
        }
    }

    #[test]
    fn odd_sizes_repeat_the_edge() {
        let grey = |values: &[u8]| values.iter().flat_map(|&value| [value; 3]).collect::<Vec<_>>();
        let mut yuv = Yuv::new(3, 1);
        yuv.read(&Picture { width: 3, height: 1, rgb: grey(&[0, 255, 255]) });
        assert_eq!(yuv.dimensions(), (4, 2));
        assert_eq!(yuv.y, [16, 235, 235, 235, 16, 235, 235, 235]);
        assert_eq!((yuv.u, yuv.v), (vec![128; 2], vec![128; 2]));
    }
}
