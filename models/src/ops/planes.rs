//! Convolution of (B, C, H, W), its three products and its transpose: the input under each tap is copied into columns,
//! tile by tile of output pixels, and each tile is one matrix product. Sequences (B, C, T) are images of height 1.
//!
//! A tile may span images, so that small images do not make small products.

use rayon::prelude::*;

use super::cpu::{reduce, simd, sum};
use super::gemm::{Mat, MatMut, multiply};

/// Sizes of a convolution; pairs are (vertical, horizontal). The padding may be negative: then borders are cut off.
#[derive(Debug, Clone)]
pub(super) struct Planes {
    pub(super) batch: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) groups: usize,
    /// Height and width of the input.
    pub(super) input: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [isize; 2],
    pub(super) dilation: [usize; 2],
    /// Height and width of the output.
    pub(super) output: [usize; 2],
}

/// Elements of the columns of one tile, so that they stay in a second-level cache, unless the tile gets too narrow for
/// the matrix product.
const TILE_ELEMENTS: usize = 192 * 1024;

/// A part of a tile that lies in one image.
struct Segment {
    image: usize,
    /// First output pixel within the image.
    pixel: usize,
    count: usize,
    /// Its place in the tile.
    offset: usize,
}

impl Planes {
    fn inputs_per_group(&self) -> usize {
        self.inputs / self.groups
    }

    fn outputs_per_group(&self) -> usize {
        self.outputs / self.groups
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn input_pixels(&self) -> usize {
        self.input[0] * self.input[1]
    }

    fn output_pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Rows of the columns of a group: one per input channel and tap.
    fn depth(&self) -> usize {
        self.inputs_per_group() * self.taps()
    }

    /// Output pixels of one tile.
    fn tile(&self) -> usize {
        (TILE_ELEMENTS / self.depth().max(1)).clamp(256, 1024).next_multiple_of(16)
    }

    /// The parts of output pixels [from, to) of the batch.
    fn segments(&self, from: usize, to: usize) -> impl Iterator<Item = Segment> {
        let pixels = self.output_pixels();
        let mut next = from;
        std::iter::from_fn(move || {
            if next >= to {
                return None;
            }
            let (image, pixel) = (next / pixels, next % pixels);
            let segment = Segment { image, pixel, count: (pixels - pixel).min(to - next), offset: next - from };
            next += segment.count;
            Some(segment)
        })
    }

    /// The output positions [from, to) of an axis whose input under tap `tap` exists.
    fn inside(&self, axis: usize, tap: usize, from: usize, to: usize) -> (usize, usize) {
        let shift = self.padding[axis] - (tap * self.dilation[axis]) as isize;
        let stride = self.stride[axis] as isize;
        let bound = |x: isize| ((x + stride - 1).div_euclid(stride)).clamp(from as isize, to as isize) as usize;
        let first = bound(shift);
        (first, bound(self.input[axis] as isize + shift).max(first))
    }

    /// Input position of output position `at` under tap `tap`, which exists.
    fn position(&self, axis: usize, tap: usize, at: usize) -> usize {
        let position = (at * self.stride[axis] + tap * self.dilation[axis]) as isize - self.padding[axis];
        debug_assert!(position >= 0 && (position as usize) < self.input[axis]);
        position as usize
    }

    /// Calls `run(first output pixel, count, first input pixel)` for the runs of output pixels [from, from + count) of
    /// an image whose inputs under tap (i, j) exist and lie in one line.
    fn runs(&self, [i, j]: [usize; 2], from: usize, count: usize, mut run: impl FnMut(usize, usize, usize)) {
        let width = self.output[1];
        let (top, bottom) = self.inside(0, i, from / width, (from + count).div_ceil(width));
        let (left, right) = self.inside(1, j, 0, width);
        // Nothing is divided and little is multiplied per line: lines may be short.
        let mut line = top * width;
        let mut source = if top < bottom { self.position(0, i, top) * self.input[1] } else { 0 };
        let shift = (j * self.dilation[1]) as isize - self.padding[1];
        for _ in top..bottom {
            let start = from.saturating_sub(line).max(left);
            let end = (from + count - line).min(right);
            if start < end {
                let column = (start * self.stride[1]) as isize + shift;
                run(line + start, end - start, source + column as usize);
            }
            line += width;
            source += self.stride[0] * self.input[1];
        }
    }

    /// Fills the columns (depth, `count`) of output pixels [from, to) of group `group`.
    fn gather(&self, xs: &[f32], group: usize, from: usize, to: usize, columns: &mut [f32]) {
        let (inputs, pixels, count) = (self.inputs_per_group(), self.input_pixels(), to - from);
        let inside = self.padding == [0, 0];
        for segment in self.segments(from, to) {
            let image = &xs[(segment.image * self.inputs + group * inputs) * pixels..][..inputs * pixels];
            for (tap, row) in columns.chunks_exact_mut(count).enumerate() {
                let (channel, tap) = (tap / self.taps(), tap % self.taps());
                let plane = &image[channel * pixels..][..pixels];
                let row = &mut row[segment.offset..][..segment.count];
                if !inside {
                    row.fill(0.0);
                }
                let tap = [tap / self.kernel[1], tap % self.kernel[1]];
                self.runs(tap, segment.pixel, segment.count, |at, count, source| {
                    let dst = &mut row[at - segment.pixel..][..count];
                    match self.stride[1] {
                        1 => dst.copy_from_slice(&plane[source..][..count]),
                        stride => spaced(&plane[source..], stride, dst),
                    }
                });
            }
        }
    }

    /// Copies rows (outputs of the group, pixels [from, to)) of `ys` (B, O, H' W') into `rows`.
    fn gather_outputs(&self, ys: &[f32], group: usize, from: usize, to: usize, rows: &mut [f32]) {
        let (outputs, pixels, count) = (self.outputs_per_group(), self.output_pixels(), to - from);
        for segment in self.segments(from, to) {
            for (o, row) in rows.chunks_exact_mut(count).enumerate() {
                let plane = (segment.image * self.outputs + group * outputs + o) * pixels;
                let source = &ys[plane + segment.pixel..][..segment.count];
                row[segment.offset..][..segment.count].copy_from_slice(source);
            }
        }
    }

    /// (B, I, H, W) by the weight (O, I/groups, KH, KW) gives (B, O, H', W').
    pub(super) fn convolve(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let (depth, outputs, pixels) = (self.depth(), self.outputs_per_group(), self.output_pixels());
        let (total, tile) = (self.batch * pixels, self.tile());
        let tiles = total.div_ceil(tile);
        let mut ys = vec![0.0; total * self.outputs];
        let target = Target { start: ys.as_mut_ptr(), len: ys.len() };
        let buffers = || (vec![0.0; depth * tile], vec![0.0; outputs * tile]);
        (0..self.groups * tiles).into_par_iter().for_each_init(buffers, |(columns, result), task| {
            let (group, from) = (task / tiles, task % tiles * tile);
            let to = (from + tile).min(total);
            let count = to - from;
            let (columns, result) = (&mut columns[..depth * count], &mut result[..outputs * count]);
            self.gather(xs, group, from, to, columns);
            let weight = Mat::rows(&weight[group * outputs * depth..][..outputs * depth], depth);
            let dst = MatMut::new(result, [outputs, count], count);
            multiply(dst, weight, Mat::rows(columns, count), false);
            for segment in self.segments(from, to) {
                for (o, row) in result.chunks_exact(count).enumerate() {
                    let channel = group * outputs + o;
                    let start = (segment.image * self.outputs + channel) * pixels + segment.pixel;
                    // SAFETY: tiles are disjoint ranges of pixels, and each is written by one task.
                    let dst = unsafe { target.range(start, segment.count) };
                    store(&row[segment.offset..][..segment.count], bias.map_or(0.0, |bias| bias[channel]), dst);
                }
            }
        });
        ys
    }

    /// Gradient of the input of [`Planes::convolve`].
    pub(super) fn input_gradient(&self, weight: &[f32], grads: &[f32]) -> Vec<f32> {
        let reach = |axis: usize| (self.dilation[axis] * (self.kernel[axis] - 1)) as isize - self.padding[axis];
        if self.stride != [1, 1] {
            return self.scatter(grads, weight, None);
        }
        // With stride 1 the gradient is a convolution by the flipped kernel, inputs and outputs exchanged.
        let (inputs, outputs, taps) = (self.inputs_per_group(), self.outputs_per_group(), self.taps());
        let mut flipped = vec![0.0; weight.len()];
        let size = inputs * outputs * taps;
        flipped.par_chunks_exact_mut(size).zip(weight.par_chunks_exact(size)).for_each(|(dst, src)| {
            for (oi, src) in src.chunks_exact(taps).enumerate() {
                let dst = &mut dst[(oi % inputs * outputs + oi / inputs) * taps..][..taps];
                dst.iter_mut().zip(src.iter().rev()).for_each(|(d, s)| *d = *s);
            }
        });
        let back = Self {
            inputs: self.outputs,
            outputs: self.inputs,
            input: self.output,
            output: self.input,
            padding: [reach(0), reach(1)],
            ..self.clone()
        };
        back.convolve(grads, &flipped, None)
    }

    /// Adds every output's gradient to the inputs it came from, plus a bias per input channel: the gradient of the
    /// input for any stride, and the transposed convolution.
    pub(super) fn scatter(&self, grads: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let (inputs, outputs, taps) = (self.inputs_per_group(), self.outputs_per_group(), self.taps());
        let (from_pixels, to_pixels) = (self.output_pixels(), self.input_pixels());
        // A task has some channels of one image, so that no two tasks add to one input.
        let channels = (TILE_ELEMENTS / (taps * from_pixels.min(256))).clamp(1, inputs);
        let channels = inputs.div_ceil(inputs.div_ceil(channels));
        let tile = (TILE_ELEMENTS / (taps * channels)).clamp(64, 1024).min(from_pixels);
        let blocks = inputs.div_ceil(channels);
        let mut dx = vec![0.0; self.batch * self.inputs * to_pixels];
        let target = Target { start: dx.as_mut_ptr(), len: dx.len() };
        let tasks = self.batch * self.groups * blocks;
        let buffer = || vec![0.0; channels * taps * tile];
        (0..tasks).into_par_iter().for_each_init(buffer, |buffer, task| {
            let (image, group, block) = (task / (self.groups * blocks), task / blocks % self.groups, task % blocks);
            let first = group * inputs + block * channels;
            let channels = channels.min(inputs - block * channels);
            let start = (image * self.inputs + first) * to_pixels;
            // SAFETY: the channels of a task are its own.
            let dx = unsafe { target.range(start, channels * to_pixels) };
            if let Some(bias) = bias {
                dx.chunks_exact_mut(to_pixels).zip(&bias[first..]).for_each(|(plane, bias)| plane.fill(*bias));
            }
            let depth = channels * taps;
            let weight = &weight[group * outputs * inputs * taps + (first - group * inputs) * taps..];
            let weight = Mat::new(weight, [outputs, depth], [inputs * taps, 1]).t();
            let grads = &grads[(image * self.outputs + group * outputs) * from_pixels..][..outputs * from_pixels];
            for from in (0..from_pixels).step_by(tile) {
                let count = tile.min(from_pixels - from);
                let columns = &mut buffer[..depth * count];
                let dst = MatMut::new(columns, [depth, count], count);
                multiply(dst, weight, Mat::rows(grads, from_pixels).columns(from, count), false);
                for (row, columns) in columns.chunks_exact(count).enumerate() {
                    let plane = &mut dx[row / taps * to_pixels..][..to_pixels];
                    let tap = [row % taps / self.kernel[1], row % taps % self.kernel[1]];
                    self.runs(tap, from, count, |at, count, source| {
                        add_spaced(&columns[at - from..][..count], self.stride[1], &mut plane[source..]);
                    });
                }
            }
        });
        dx
    }

    /// Gradient of the weight of [`Planes::convolve`].
    pub(super) fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32> {
        let (depth, outputs) = (self.depth(), self.outputs_per_group());
        let (total, tile) = (self.batch * self.output_pixels(), 2 * self.tile());
        let mut dw = Vec::with_capacity(self.outputs * depth);
        for group in 0..self.groups {
            dw.extend(reduce(total.div_ceil(tile), 8, outputs * depth, |i, sums| {
                let (from, to) = (i * tile, ((i + 1) * tile).min(total));
                let count = to - from;
                let (mut columns, mut rows) = (vec![0.0; depth * count], vec![0.0; outputs * count]);
                self.gather(xs, group, from, to, &mut columns);
                self.gather_outputs(grads, group, from, to, &mut rows);
                let dst = MatMut::new(sums, [outputs, depth], depth);
                multiply(dst, Mat::rows(&rows, count), Mat::rows(&columns, count).t(), true);
            }));
        }
        dw
    }
}

/// Sum per channel of (B, `channels`, `pixels`).
pub(super) fn channel_sums(src: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    let channel = |c: usize| src.chunks_exact(pixels).skip(c).step_by(channels).map(sum).sum::<f32>();
    (0..channels).into_par_iter().map(channel).collect()
}

simd! {
    /// dst[i] = src[i stride].
    fn spaced(src: &[f32], stride: usize, dst: &mut [f32]) {
        if stride == 2 {
            if let Some((last, dst)) = dst.split_last_mut() {
                for (d, s) in dst.iter_mut().zip(src.chunks_exact(2)) {
                    *d = s[0];
                }
                *last = src[2 * dst.len()];
            }
        } else {
            for (d, s) in dst.iter_mut().zip(src.iter().step_by(stride)) {
                *d = *s;
            }
        }
    }
}

simd! {
    /// dst[i stride] += src[i].
    fn add_spaced(src: &[f32], stride: usize, dst: &mut [f32]) {
        if stride == 1 {
            for (d, s) in dst.iter_mut().zip(src) {
                *d += *s;
            }
        } else {
            for (d, s) in dst.iter_mut().step_by(stride).zip(src) {
                *d += *s;
            }
        }
    }
}

simd! {
    /// dst = src + bias.
    fn store(src: &[f32], bias: f32, dst: &mut [f32]) {
        for (d, s) in dst.iter_mut().zip(src) {
            *d = *s + bias;
        }
    }
}

/// A result that tasks write in disjoint ranges.
#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    len: usize,
}

// SAFETY: `range` is only called for ranges that no other task touches.
unsafe impl Sync for Target {}

impl Target {
    /// Elements [start, start + count).
    ///
    /// # Safety
    /// No other range that overlaps is in use, and the result outlives the tasks.
    #[allow(clippy::mut_from_ref, reason = "the ranges of tasks are disjoint")]
    unsafe fn range<'a>(&self, start: usize, count: usize) -> &'a mut [f32] {
        assert!(start + count <= self.len, "range leaves the result");
        // SAFETY: inside the result by the assertion, exclusive by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), count) }
    }
}
