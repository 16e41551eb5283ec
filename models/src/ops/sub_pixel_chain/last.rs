//! The last convolution, whose output is planes.
//!
//! It has few outputs, so that vectors hold pixels, not outputs: its map has each quad of channels apart, pixels in lines. Its
//! numbers become two bytes each, or a mouth that rests would be seen to shimmer.

use candle_core::{Result, Tensor};

use super::check_constant;
use crate::ops::cpu::simd;
use crate::ops::gemm::bytes::{self, FewColumns, Left, QUAD};

pub(super) struct Last {
    /// Height and width.
    size: [usize; 2],
    /// Channels after the shuffle.
    colours: usize,
    /// Quads of channels; zeros fill the last.
    quads: usize,
    /// Zeros on each side; those between two lines serve both.
    around: usize,
    /// Pixels from line to line.
    pitch: usize,
    /// Where the quads that an output meets lie, from the first.
    pieces: Vec<usize>,
    /// Outputs are in the order of the weight: colour, line and column of the 2x2 pixels.
    weight: FewColumns,
}

impl Last {
    pub(super) fn new(weight: &Tensor, size: [usize; 2]) -> Result<Self> {
        let (outputs, channels, kernel, _) = weight.dims4()?;
        let (quads, around) = (channels.div_ceil(QUAD), kernel / 2);
        let pitch = size[1] + around;
        let plane = (size[0] + 2 * around) * pitch + around;
        let places = (0..quads).flat_map(|q| (0..kernel * kernel).map(move |k| (q, k / kernel, k % kernel)));
        let pieces = places.clone().map(|(q, y, x)| (q * plane + y * pitch + x) * QUAD).collect::<Vec<_>>();
        let values = weight.flatten_all()?.to_vec1::<f32>()?;
        let column = |output: usize, dst: &mut [f32]| {
            for ((q, y, x), dst) in places.clone().zip(dst.chunks_exact_mut(QUAD)) {
                for (input, value) in (q * QUAD..channels).zip(dst) {
                    *value = values[((output * channels + input) * kernel + y) * kernel + x];
                }
            }
        };
        let weight = FewColumns::new(outputs, pieces.len(), column);
        Ok(Self { size, colours: outputs / 4, quads, around, pitch, pieces, weight })
    }

    /// How many numbers its map has.
    pub(super) fn numbers(&self) -> usize {
        self.quads * self.size[0] * self.size[1] * QUAD
    }

    /// A map of zeros: upper, then lower bytes.
    pub(super) fn map(&self) -> Vec<u8> {
        vec![0; 2 * self.part()]
    }

    /// Bytes of one kind. Vectors read on behind the last pixel.
    fn part(&self) -> usize {
        let last = self.pieces.last().map_or(0, |piece| piece + QUAD);
        last + ((self.size[0] - 1) * self.pitch + self.size[1].next_multiple_of(bytes::SIDE)) * QUAD
    }

    /// Pixels of a quad.
    fn plane(&self) -> usize {
        (self.size[0] + 2 * self.around) * self.pitch + self.around
    }

    /// How many sums it holds.
    pub(super) fn sums(&self) -> usize {
        4 * self.colours * self.size[1]
    }

    /// How many numbers its planes have.
    pub(super) fn planes(&self) -> usize {
        4 * self.colours * self.size[0] * self.size[1]
    }

    /// (1, outputs, H, W) as (H, outputs, W).
    pub(super) fn lay_out(&self, constant: &Tensor) -> Result<Vec<f32>> {
        check_constant(constant, self.colours, self.size)?;
        constant.squeeze(0)?.transpose(0, 1)?.flatten_all()?.to_vec1()
    }

    /// From the numbers of its map, (quads, H, W, 4), to planes (colours, 2 H, 2 W).
    pub(super) fn convolve(
        &self,
        numbers: &[f32],
        map: &mut [u8],
        constant: &[f32],
        sums: &mut [f32],
        planes: &mut [f32],
    ) {
        let [height, width] = self.size;
        let scale = self.write(&numbers[..self.numbers()], map);
        let (upper, lower) = map.split_at(self.part());
        let sums = &mut sums[..self.sums()];
        for (y, constant) in constant.chunks_exact(sums.len()).enumerate() {
            let left = [(upper, 256.0 * scale), (lower, scale)].map(|(bytes, scale)| Left {
                bytes: &bytes[y * self.pitch * QUAD..],
                width: width.next_multiple_of(bytes::SIDE),
                pitch: 0,
                stride: QUAD,
                pieces: &self.pieces,
                quads: 1,
                scale,
            });
            bytes::product_with_few(width, &left, &self.weight, sums);
            let pairs = sums.chunks_exact(2 * width).zip(constant.chunks_exact(2 * width)).enumerate();
            for (i, (sums, constant)) in pairs {
                // Of each colour, two columns of a line, then those of the next.
                let line = i / 2 * 2 * height + 2 * y + i % 2;
                finish(sums, constant, &mut planes[line * 2 * width..][..2 * width]);
            }
        }
    }

    /// Writes numbers, none below 0, and returns what the lower byte's 1 stands for.
    fn write(&self, xs: &[f32], map: &mut [u8]) -> f32 {
        let scale = bytes::largest(xs) / 65_535.0;
        let (upper, lower) = map.split_at_mut(self.part());
        let line = self.size[1] * QUAD;
        for (i, xs) in xs.chunks_exact(line).enumerate() {
            let (q, y) = (i / self.size[0], i % self.size[0]);
            let first = (q * self.plane() + (y + self.around) * self.pitch + self.around) * QUAD;
            bytes::round_to_two(xs, scale, &mut upper[first..first + line], &mut lower[first..first + line]);
        }
        scale
    }
}

simd! {
    /// Sums and constants of two columns, one after the other, side by side.
    fn finish(sums: &[f32], constant: &[f32], dst: &mut [f32]) {
        let width = sums.len() / 2;
        let (even, odd) = sums.split_at(width);
        let (even_constant, odd_constant) = constant.split_at(width);
        for (x, pair) in dst.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            *pair = [even[x] + even_constant[x], odd[x] + odd_constant[x]];
        }
    }
}
