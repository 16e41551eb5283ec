//! The gradient of a convolution's weight.
//!
//! For each tap it is the product of the outputs' gradients, a row per output channel, and the inputs under that tap, a
//! column per input channel. The inputs are laid out with the channels of a pixel side by side, once for all taps.

use rayon::prelude::*;

use super::source::Grid;
use super::{HELD, Planes};
use crate::ops::cpu::build_pieces;
use crate::ops::gemm::tile::{DEPTH, PANEL, ROWS, Start, WIDTHS, panel};
use crate::ops::gemm::{TASKS, even};

impl Planes {
    /// Gradient of the weight of [`Planes::convolve`].
    pub(in crate::ops) fn weight_gradient(&self, xs: &[f32], grads: &[f32]) -> Vec<f32> {
        let (channels, rows, taps) = (self.inputs_per_group(), self.outputs_per_group(), self.forward_taps());
        let grid = Grid::new(self.input, self.stride, &[(&taps, self.output)]);
        let pixels = (self.output[0] - 1) * grid.pitch + self.output[1];
        let (blocks, plane) = (channels.div_ceil(PANEL), grid.phases() * grid.phase);
        let right = channels_last(&grid.lay_out(xs), channels, plane);
        let left = self.pack_gradients(grads, &grid, pixels);
        let slice = even(pixels, DEPTH);
        let taps_per_task = even(taps.len(), (HELD / (rows * PANEL)).max(1));
        let tap_tasks = taps.len().div_ceil(taps_per_task);
        let sums = self.groups * blocks * tap_tasks;
        // The pixels of the batch in order, in slices of one image.
        let slices = (0..self.batch).flat_map(|image| (0..pixels).step_by(slice).map(move |from| (image, from)));
        let slices = slices.collect::<Vec<_>>();
        let slices_per_task = even(slices.len(), slices.len().div_ceil(TASKS.div_ceil(sums.max(1))));
        let parts = slices.len().div_ceil(slices_per_task);
        let task = |task: usize| {
            let (sum, part) = (task / parts, task % parts);
            let (group, block) = (sum / tap_tasks / blocks, sum / tap_tasks % blocks);
            let first = sum % tap_tasks * taps_per_task;
            let taps = &taps[first..(first + taps_per_task).min(taps.len())];
            let width = PANEL.min((channels - block * PANEL).next_multiple_of(WIDTHS));
            let offsets: [usize; DEPTH] = std::array::from_fn(|k| k * PANEL);
            let mut held = vec![0.0; taps.len() * rows * PANEL];
            let own = &slices[part * slices_per_task..((part + 1) * slices_per_task).min(slices.len())];
            for (i, &(image, from)) in own.iter().enumerate() {
                let group = image * self.groups + group;
                let depth = slice.min(pixels - from);
                let start = if i > 0 { Start::Result } else { Start::Zero };
                let left = &left[(group * pixels + from) * rows..][..depth * rows];
                for (tap, held) in taps.iter().zip(held.chunks_exact_mut(rows * PANEL)) {
                    let at = (group * blocks + block) * plane + from + grid.offset(tap);
                    let right = &right[at * PANEL..][..depth * PANEL];
                    // SAFETY: `right` has a panel for each offset.
                    unsafe { panel(rows, width, left, right, &offsets[..depth], held, start) };
                }
            }
            (group, block, first, held)
        };
        let results = (0..sums * parts).into_par_iter().map(task).collect::<Vec<_>>();
        let mut dw = vec![0.0; self.outputs * channels * taps.len()];
        for (group, block, first, held) in results {
            let from = block * PANEL;
            for (row, held) in held.chunks_exact(PANEL).enumerate() {
                let (tap, row) = (first + row / rows, group * rows + row % rows);
                let dst = dw[(row * channels + from) * taps.len() + taps[tap].index..].iter_mut().step_by(taps.len());
                dst.zip(held).take(channels - from).for_each(|(d, s)| *d += *s);
            }
        }
        dw
    }

    /// The gradients (B, O, H' W') in the order in which tiles read them: per image, group, slice of the pixels and tile, a
    /// pixel at a time; zeros in the gaps between lines.
    fn pack_gradients(&self, grads: &[f32], grid: &Grid, pixels: usize) -> Vec<f32> {
        let (rows, size) = (self.outputs_per_group(), self.output[0] * self.output[1]);
        let (slice, step) = (even(pixels, DEPTH), even(rows, ROWS));
        build_pieces(self.batch * self.groups * rows * pixels, rows * pixels, |start, packed| {
            let grads = &grads[start / pixels * size..][..rows * size];
            for (tile, grads) in grads.chunks(step * size).enumerate() {
                let width = grads.len() / size;
                for (row, grads) in grads.chunks_exact(size).enumerate() {
                    for (y, line) in grads.chunks_exact(self.output[1]).enumerate() {
                        let mut from = y * grid.pitch;
                        let mut line = line;
                        while !line.is_empty() {
                            let (first, within) = (from / slice * slice, from % slice);
                            let depth = slice.min(pixels - first);
                            let (now, later) = line.split_at(line.len().min(depth - within));
                            let start = first * rows + tile * step * depth + within * width + row;
                            packed[start..].iter_mut().step_by(width).zip(now).for_each(|(d, s)| *d = *s);
                            from += now.len();
                            line = later;
                        }
                    }
                }
            }
        })
    }
}

/// Planes (N, `channels`, `plane`) as (N, blocks of channels, `plane`, [`PANEL`]), with zeros for missing channels.
fn channels_last(src: &[f32], channels: usize, plane: usize) -> Vec<f32> {
    /// Pixels at a time, so that the lines of the result stay in the cache.
    const AT_ONCE: usize = 16;
    let blocks = channels.div_ceil(PANEL);
    let groups = src.len() / (channels * plane);
    build_pieces(groups * blocks * plane * PANEL, plane * PANEL, |start, dst| {
        let i = start / (plane * PANEL);
        let (group, block) = (i / blocks, i % blocks);
        let count = PANEL.min(channels - block * PANEL);
        let src = &src[(group * channels + block * PANEL) * plane..][..count * plane];
        for (i, dst) in dst.chunks_mut(AT_ONCE * PANEL).enumerate() {
            for (c, src) in src.chunks_exact(plane).enumerate() {
                dst[c..].iter_mut().step_by(PANEL).zip(&src[i * AT_ONCE..]).for_each(|(d, s)| *d = *s);
            }
        }
    })
}
