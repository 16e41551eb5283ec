//! A convolution whose output is the next one's input.
//!
//! Its map has the channels of a pixel together, pixels in lines: what a line of a kernel meets is then one piece of memory, and
//! the piece of the next pixel begins one pixel further, so that the rows of the left matrix overlap. Its numbers become bytes,
//! from 0 to the largest of the map.

use candle_core::{Result, Tensor};

use super::check_constant;
use crate::ops::cpu::simd;
use crate::ops::gemm::bytes::{self, Left, QUAD, Right};

/// Sums that are held before they are written as a map.
const HELD: usize = 16 * 1024;

pub(super) struct Link {
    /// Height and width.
    size: [usize; 2],
    channels: usize,
    /// Channels after the shuffle.
    colours: usize,
    /// Zeros on each side; those between two lines serve both.
    around: usize,
    /// Pixels from line to line.
    pitch: usize,
    /// Where lines of the kernel lie, from the first byte that an output meets.
    pieces: Vec<usize>,
    /// Quads that a line of the kernel takes.
    quads: usize,
    /// Outputs are in the order in which the shuffle lays them: line and column of the 2x2 pixels, colour.
    weight: Right,
}

impl Link {
    pub(super) fn new(weight: &Tensor, size: [usize; 2]) -> Result<Self> {
        let (outputs, channels, kernel, _) = weight.dims4()?;
        let (colours, around) = (outputs / 4, kernel / 2);
        let pitch = size[1] + around;
        let quads = (kernel * channels).div_ceil(QUAD);
        let values = weight.flatten_all()?.to_vec1::<f32>()?;
        let column = |output: usize, dst: &mut [f32]| {
            let of_output = &values[channel(output, colours) * channels * kernel * kernel..];
            for (y, line) in dst.chunks_exact_mut(quads * QUAD).enumerate() {
                for (at, value) in line.iter_mut().take(kernel * channels).enumerate() {
                    let (x, input) = (at / channels, at % channels);
                    *value = of_output[(input * kernel + y) * kernel + x];
                }
            }
        };
        let weight = Right::new(outputs, kernel * quads, column);
        let pieces = (0..kernel).map(|y| y * pitch * channels).collect();
        Ok(Self { size, channels, colours, around, pitch, pieces, quads, weight })
    }

    /// How many numbers its map has.
    pub(super) fn numbers(&self) -> usize {
        self.size[0] * self.size[1] * self.channels
    }

    /// A map of zeros. The last line of the last output may read on behind the numbers.
    pub(super) fn map(&self) -> Vec<u8> {
        let last = ((self.size[0] - 1) * self.pitch + self.size[1] - 1) * self.channels;
        vec![0; last + (self.pieces.len() - 1) * self.pitch * self.channels + self.quads * QUAD]
    }

    /// How many sums it holds.
    pub(super) fn sums(&self) -> usize {
        self.lines_at_once() * self.line()
    }

    /// Outputs of a line.
    fn line(&self) -> usize {
        self.size[1] * 4 * self.colours
    }

    fn lines_at_once(&self) -> usize {
        (HELD / self.line()).clamp(1, self.size[0])
    }

    /// (1, outputs, H, W) as (H, W, outputs).
    pub(super) fn lay_out(&self, constant: &Tensor) -> Result<Vec<f32>> {
        check_constant(constant, self.colours, self.size)?;
        let planes = constant.flatten_all()?.to_vec1::<f32>()?;
        let (pixels, outputs) = (self.size[0] * self.size[1], 4 * self.colours);
        let places = (0..pixels).flat_map(|p| (0..outputs).map(move |o| (p, o)));
        Ok(places.map(|(p, o)| planes[channel(o, self.colours) * pixels + p]).collect())
    }

    /// From the numbers of its map to those of the next, which may take the quads of its channels apart.
    pub(super) fn convolve(
        &self,
        numbers: &mut [f32],
        map: &mut [u8],
        constant: &[f32],
        sums: &mut [f32],
        apart: bool,
    ) {
        let ([height, width], line) = (self.size, self.line());
        let scale = self.write(&numbers[..self.numbers()], map);
        for from in (0..height).step_by(self.lines_at_once()) {
            let lines = self.lines_at_once().min(height - from);
            let left = Left {
                bytes: &map[from * self.pitch * self.channels..],
                width,
                pitch: self.pitch * self.channels,
                stride: self.channels,
                pieces: &self.pieces,
                quads: self.quads,
                scale,
            };
            bytes::product(lines * width, &[left], &self.weight, sums);
            for (y, sums) in sums.chunks_exact(line).enumerate().take(lines).map(|(y, sums)| (from + y, sums)) {
                let constant = &constant[y * line..][..line];
                // Both halves of a pixel's outputs are lines of their own.
                for half in 0..2 {
                    let first = (2 * y + half) * 2 * width;
                    match apart {
                        true => finish_apart(sums, constant, self.colours, [half, first, 4 * height * width], numbers),
                        false => finish(sums, constant, self.colours, half, &mut numbers[first * self.colours..]),
                    }
                }
            }
        }
    }

    /// Writes pixels (H, W, C), none below 0, and returns what a byte stands for.
    fn write(&self, xs: &[f32], map: &mut [u8]) -> f32 {
        let scale = bytes::largest(xs) / 255.0;
        let line = self.size[1] * self.channels;
        for (y, xs) in xs.chunks_exact(line).enumerate() {
            let first = ((y + self.around) * self.pitch + self.around) * self.channels;
            bytes::round(xs, scale, &mut map[first..first + line]);
        }
        scale
    }
}

/// The channel of a weight that output `output` is.
fn channel(output: usize, colours: usize) -> usize {
    output % colours * 4 + output / colours
}

simd! {
    /// ReLU of sums and constants, of one half of each pixel's outputs, as pixels.
    fn finish(sums: &[f32], constant: &[f32], colours: usize, half: usize, dst: &mut [f32]) {
        let (outputs, count) = (4 * colours, 2 * colours);
        let pixels = sums.chunks_exact(outputs).zip(constant.chunks_exact(outputs));
        for ((sums, constant), dst) in pixels.zip(dst.chunks_exact_mut(count)) {
            let (sums, constant) = (&sums[half * count..][..count], &constant[half * count..][..count]);
            for i in 0..count {
                dst[i] = (sums[i] + constant[i]).max(0.0);
            }
        }
    }
}

simd! {
    /// The same with the quads of channels apart: from pixel `first` of `pixels` on.
    fn finish_apart(
        sums: &[f32],
        constant: &[f32],
        colours: usize,
        place: [usize; 3],
        dst: &mut [f32],
    ) {
        let [half, first, pixels] = place;
        let mut write = |q: usize, pixel: usize, quad: [f32; QUAD]| {
            dst[(q * pixels + pixel) * QUAD..][..QUAD].copy_from_slice(&quad);
        };
        for x in 0..sums.len() / (4 * colours) {
            for column in 0..2 {
                let at = (4 * x + 2 * half + column) * colours;
                let pixel = first + 2 * x + column;
                let (sums, last_sums) = sums[at..][..colours].as_chunks::<QUAD>();
                let (constant, last_constant) = constant[at..][..colours].as_chunks::<QUAD>();
                for (q, (sums, constant)) in sums.iter().zip(constant).enumerate() {
                    write(q, pixel, std::array::from_fn(|i| (sums[i] + constant[i]).max(0.0)));
                }
                if !last_sums.is_empty() {
                    let sum = |i: usize| last_sums.get(i).zip(last_constant.get(i)).map_or(0.0, |(sum, add)| sum + add);
                    write(sums.len(), pixel, std::array::from_fn(|i| sum(i).max(0.0)));
                }
            }
        }
    }
}
