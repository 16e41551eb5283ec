//! Convolution of (B, C, H, W), its gradients and its transpose. Sequences (B, C, T) are images of height 1.
//!
//! Nothing is copied per tap. The source is laid out once with zeros around its images, so that the input of an output
//! under a tap lies at the same distance from it for every output: outputs in a row meet inputs in a row, wherever they
//! are. A convolution is then a matrix product whose right matrix is read in place.

mod correlation;
mod source;
mod weight_gradient;

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::cpu::{sum, written};
use correlation::{Correlation, Weights};
use source::{Grid, Tap};

/// Elements of the sums that a task holds before it stores them.
const HELD: usize = 64 * 1024;

/// Sizes of a convolution; pairs are (vertical, horizontal).
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
    pub(super) padding: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Height and width of the output.
    pub(super) output: [usize; 2],
}

impl Planes {
    fn inputs_per_group(&self) -> usize {
        self.inputs / self.groups
    }

    fn outputs_per_group(&self) -> usize {
        self.outputs / self.groups
    }

    /// Taps of the kernel, line by line.
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Where each tap finds the input of an output.
    fn forward_taps(&self) -> Vec<Tap> {
        let place = |axis: usize, tap: usize| {
            let (at, stride) =
                ((tap * self.dilation[axis]) as isize - self.padding[axis] as isize, self.stride[axis] as isize);
            (at.rem_euclid(stride) as usize, at.div_euclid(stride))
        };
        let tap = |index: usize| {
            let (down, across) = (place(0, index / self.kernel[1]), place(1, index % self.kernel[1]));
            Tap { index, phase: down.0 * self.stride[1] + across.0, shift: [down.1, across.1] }
        };
        (0..self.taps()).map(tap).collect()
    }

    /// Where the taps find the outputs that read the inputs (y stride + down, x stride + across) for all (y, x).
    fn backward_taps(&self, phase: [usize; 2]) -> Vec<Tap> {
        let place = |axis: usize, tap: usize| {
            let at = (phase[axis] + self.padding[axis]) as isize - (tap * self.dilation[axis]) as isize;
            let stride = self.stride[axis] as isize;
            (at % stride == 0).then_some(at / stride)
        };
        let tap = |index: usize| {
            let shift = [place(0, index / self.kernel[1])?, place(1, index % self.kernel[1])?];
            Some(Tap { index, phase: 0, shift })
        };
        (0..self.taps()).filter_map(tap).collect()
    }

    /// (B, I, H, W) by the weight (O, I/groups, KH, KW) gives (B, O, H', W').
    pub(super) fn convolve(&self, xs: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let taps = self.forward_taps();
        let grid = Grid::new(self.input, self.stride, &[(&taps, self.output)]);
        let source = grid.lay_out(xs);
        let (channels, taps_count) = (self.inputs_per_group(), self.taps());
        let weights = Weights { values: weight, row: channels * taps_count, channel: taps_count, groups: self.groups };
        let correlation = Correlation {
            images: self.batch,
            channels,
            rows: self.outputs_per_group(),
            taps: &taps,
            lines: self.output,
            plane: self.output,
            stride: [1, 1],
            phase: [0, 0],
        };
        let len = self.batch * self.outputs * self.output[0] * self.output[1];
        // SAFETY: these are all pixels.
        unsafe { written(len, |ys| correlation.run(&grid, &source, weights, bias, ys)) }
    }

    /// Adds every output's gradient to the inputs it came from, plus a bias per input channel: the gradient of the input
    /// of [`Planes::convolve`], and the transposed convolution.
    pub(super) fn transpose(&self, grads: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        // The inputs at one place of the stride meet the same taps: for them it is a convolution again.
        let [down, across] = self.stride;
        let phases = (0..down * across).map(|phase| [phase / across, phase % across]).filter_map(|phase| {
            let lines = [0, 1].map(|axis| self.input[axis].saturating_sub(phase[axis]).div_ceil(self.stride[axis]));
            (lines[0] > 0 && lines[1] > 0).then(|| (phase, self.backward_taps(phase), lines))
        });
        let phases = phases.collect::<Vec<_>>();
        let reach = phases.iter().map(|(_, taps, lines)| (taps.as_slice(), *lines)).collect::<Vec<_>>();
        let grid = Grid::new(self.output, [1, 1], &reach);
        let source = grid.lay_out(grads);
        let (rows, taps_count) = (self.inputs_per_group(), self.taps());
        let weights = Weights { values: weight, row: taps_count, channel: rows * taps_count, groups: self.groups };
        let write = |dx: &mut [MaybeUninit<f32>]| {
            for (phase, taps, lines) in &phases {
                let correlation = Correlation {
                    images: self.batch,
                    channels: self.outputs_per_group(),
                    rows,
                    taps,
                    lines: *lines,
                    plane: self.input,
                    stride: self.stride,
                    phase: *phase,
                };
                correlation.run(&grid, &source, weights, bias, dx);
            }
        };
        // SAFETY: every pixel is at one of the places of the stride.
        unsafe { written(self.batch * self.inputs * self.input[0] * self.input[1], write) }
    }
}

/// Sum per channel of (B, `channels`, `pixels`).
pub(super) fn channel_sums(src: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    let channel = |c: usize| src.chunks_exact(pixels).skip(c).step_by(channels).map(sum).sum::<f32>();
    (0..channels).into_par_iter().map(channel).collect()
}
