//! Sums over channels and taps, for every output pixel.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::HELD;
use super::source::{Grid, Tap};
use crate::ops::gemm::tile::{DEPTH, PANEL, ROWS, Start, WIDTHS, panel};
use crate::ops::gemm::{TASKS, even};

/// Most panels of a task.
const PANELS: usize = 4;

/// The weight of row r, channel c of a group and a tap is values\[(group's start) + r row + c channel + tap\].
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) values: &'a [f32],
    pub(super) row: usize,
    pub(super) channel: usize,
    pub(super) groups: usize,
}

/// dst(image, row, y stride + phase) = bias(row) + sum over the channels of the row's group and taps of
/// weight(row, channel, tap) source(image, channel, y + the tap's shift).
pub(super) struct Correlation<'a> {
    pub(super) images: usize,
    /// Channels of a group in the source.
    pub(super) channels: usize,
    /// Channels of a group in the result.
    pub(super) rows: usize,
    pub(super) taps: &'a [Tap],
    /// Height and width of what is computed.
    pub(super) lines: [usize; 2],
    /// Height and width of a plane of the result.
    pub(super) plane: [usize; 2],
    /// From computed pixel to computed pixel in the result, and the first of them.
    pub(super) stride: [usize; 2],
    pub(super) phase: [usize; 2],
}

/// Pixels in a row of the result.
struct Run {
    /// Place in a panel.
    at: usize,
    count: usize,
    /// Place in a plane of the result.
    to: usize,
}

impl Correlation<'_> {
    /// Writes all pixels of the phase in `dst`, planes (images, rows).
    pub(super) fn run(
        &self,
        grid: &Grid,
        source: &[f32],
        weights: Weights<'_>,
        bias: Option<&[f32]>,
        dst: &mut [MaybeUninit<f32>],
    ) {
        let Self { images, rows, .. } = *self;
        let depth = self.channels * self.taps.len();
        let packed = self.pack(weights);
        let channel = grid.phases() * grid.phase;
        let taps = self.taps.iter().map(|tap| grid.offset(tap)).collect::<Vec<_>>();
        let offsets =
            (0..self.channels).flat_map(|c| taps.iter().map(move |tap| c * channel + tap)).collect::<Vec<_>>();
        let pixels = (self.lines[0] - 1) * grid.pitch + self.lines[1];
        // Tasks of panels that follow one another through the images: a slice of the weights meets all of a task's.
        let panels = pixels.div_ceil(PANEL);
        let most = (HELD / (rows * PANEL)).min(images * weights.groups * panels / (2 * TASKS)).clamp(1, PANELS);
        let panels_per_task = even(images * panels, most);
        let tasks = (images * panels).div_ceil(panels_per_task);
        let plane = self.plane[0] * self.plane[1];
        // Where a panel ends at the latest, from the first channel of its group.
        let reach = offsets.iter().max().map_or(0, |offset| offset + PANEL);
        let target = Target { start: dst.as_mut_ptr().cast(), len: dst.len() };
        let buffer = || vec![0.0; panels_per_task * rows * PANEL];
        (0..weights.groups * tasks).into_par_iter().for_each_init(buffer, |held, task| {
            let group = task / tasks;
            let from = task % tasks * panels_per_task;
            let places =
                (from..(from + panels_per_task).min(images * panels)).map(|i| (i / panels, i % panels * PANEL));
            let weights_of_group = &packed[group * rows * depth..][..rows * depth];
            if depth == 0 {
                held.fill(0.0);
            }
            let slice = even(depth, DEPTH);
            for (first, offsets) in (0..).step_by(slice).zip(offsets.chunks(slice)) {
                let left = &weights_of_group[first * rows..][..offsets.len() * rows];
                let start = if first > 0 { Start::Result } else { Start::Zero };
                for ((image, pixel), held) in places.clone().zip(held.chunks_exact_mut(rows * PANEL)) {
                    let width = PANEL.min((pixels - pixel).next_multiple_of(WIDTHS));
                    let channels = (image * weights.groups + group) * self.channels * channel;
                    let source = &source[channels + pixel..][..reach];
                    // SAFETY: the slice reaches as far as the farthest offset and a panel.
                    unsafe { panel(rows, width, left, source, offsets, held, start) };
                }
            }
            for ((image, pixel), held) in places.zip(held.chunks_exact(rows * PANEL)) {
                let runs = self.runs(grid, pixel, pixels);
                for (row, held) in held.chunks_exact(PANEL).enumerate() {
                    let row = group * rows + row;
                    let start = (image * weights.groups * rows + row) * plane;
                    let bias = bias.map_or(0.0, |bias| bias[row]);
                    for run in &runs {
                        let held = &held[run.at..][..run.count];
                        // SAFETY: no two tasks compute one pixel, and the result is borrowed mutably.
                        unsafe { target.store(start + run.to, self.stride[1], held, bias) };
                    }
                }
            }
        });
    }

    /// The weights in the order in which tiles read them: per group, slice of the depth and tile, a column at a time.
    fn pack(&self, weights: Weights<'_>) -> Vec<f32> {
        let Self { channels, rows, taps, .. } = *self;
        let depth = channels * taps.len();
        let (slice, step) = (even(depth, DEPTH), even(rows, ROWS));
        let mut packed = vec![0.0; weights.groups * rows * depth];
        let slices = packed.par_chunks_mut((rows * depth).max(1)).enumerate().flat_map(|(group, packed)| {
            packed.par_chunks_mut(rows * slice).enumerate().map(move |(i, packed)| (group, i * slice, packed))
        });
        slices.for_each(|(group, first, packed)| {
            let count = packed.len() / rows;
            let values = &weights.values[group * weights.values.len() / weights.groups..];
            let columns = (0..channels).flat_map(|c| taps.iter().map(move |tap| c * weights.channel + tap.index));
            let columns = columns.skip(first).take(count).collect::<Vec<_>>();
            for (tile, packed) in packed.chunks_mut(step * count).enumerate() {
                let width = packed.len() / count;
                for (at, column) in columns.iter().zip(packed.chunks_exact_mut(width)) {
                    let values = values[tile * step * weights.row + at..].iter().step_by(weights.row);
                    column.iter_mut().zip(values).for_each(|(dst, x)| *dst = *x);
                }
            }
        });
        packed
    }

    /// The pixels of the panel at `from` that are of the result, not of the gaps between its lines.
    fn runs(&self, grid: &Grid, from: usize, pixels: usize) -> Vec<Run> {
        let mut runs = Vec::with_capacity(PANEL);
        let (mut y, mut x, mut at) = (from / grid.pitch, from % grid.pitch, 0);
        while at < PANEL && from + at < pixels {
            let count = (grid.pitch - x).min(PANEL - at);
            let valid = self.lines[1].saturating_sub(x).min(count);
            if valid > 0 {
                let line = (y * self.stride[0] + self.phase[0]) * self.plane[1];
                runs.push(Run { at, count: valid, to: line + x * self.stride[1] + self.phase[1] });
            }
            (y, x, at) = (y + 1, 0, at + count);
        }
        runs
    }
}

/// A result that tasks write in disjoint pixels.
#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    len: usize,
}

// SAFETY: `store` is only called for pixels that no other task touches.
unsafe impl Sync for Target {}

impl Target {
    /// Sets the pixels at `to`, `to + stride` and so on to `src` plus a bias.
    ///
    /// # Safety
    /// Nobody else uses these pixels meanwhile.
    unsafe fn store(self, to: usize, stride: usize, src: &[f32], bias: f32) {
        assert!(src.is_empty() || to + (src.len() - 1) * stride < self.len, "pixels leave the result");
        // SAFETY: inside the result by the assertion, exclusive by the contract.
        unsafe {
            let dst = self.start.add(to);
            match stride {
                1 => src.iter().enumerate().for_each(|(i, s)| dst.add(i).write(*s + bias)),
                _ => src.iter().enumerate().for_each(|(i, s)| dst.add(i * stride).write(*s + bias)),
            }
        }
    }
}
