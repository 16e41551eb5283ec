//! The source of a correlation, laid out so that every tap is a constant distance.

use crate::ops::cpu::{build_pieces, every, simd};
use crate::ops::gemm::tile::PANEL;

/// A tap of a kernel: the output at (y, x) meets the source at (y + shift\[0\], x + shift\[1\]) of a phase.
#[derive(Debug, Clone)]
pub(super) struct Tap {
    /// Its place in the kernel.
    pub(super) index: usize,
    /// The phase plane, line by line, that it reads.
    pub(super) phase: usize,
    pub(super) shift: [isize; 2],
}

/// How a plane is laid out: for a stride of s, s x s planes (phases) with every s-th line and pixel each; lines `pitch`
/// apart, whose zeros at the end are the zeros before the next line too; and zeros above and below.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    /// Height and width of a plane of the source.
    size: [usize; 2],
    stride: [usize; 2],
    /// Elements from line to line.
    pub(super) pitch: usize,
    /// Elements of a phase.
    pub(super) phase: usize,
    /// Place of the first pixel in its phase.
    origin: usize,
}

impl Grid {
    /// For taps that are met by outputs of the given height and width.
    pub(super) fn new(size: [usize; 2], stride: [usize; 2], met: &[(&[Tap], [usize; 2])]) -> Self {
        let lines = [0, 1].map(|axis| size[axis].div_ceil(stride[axis]));
        let shifts =
            |axis: usize| met.iter().flat_map(move |(taps, to)| taps.iter().map(move |t| (t.shift[axis], to[axis])));
        let before = |axis: usize| shifts(axis).map(|(shift, _)| -shift).max().unwrap_or(0).max(0) as usize;
        let after = |axis: usize| {
            let last = shifts(axis).map(|(shift, to)| to as isize - 1 + shift).max().unwrap_or(0);
            (last + 1 - lines[axis] as isize).max(0) as usize
        };
        let widest = met.iter().map(|(_, to)| to[1]).max().unwrap_or(0);
        let pitch = (lines[1] + before(1).max(after(1))).max(widest);
        let origin = before(0) * pitch + before(1);
        // Behind the last line are the zeros that it is read with.
        let phase = (before(0) + lines[0] + after(0)) * pitch + before(1) + after(1);
        // Planes that begin at the same place of the cache's sets would drive one another out.
        let phase = phase.next_multiple_of(16);
        let phase = if phase.is_multiple_of(256) { phase + 16 } else { phase };
        Self { size, stride, pitch, phase, origin }
    }

    pub(super) fn phases(&self) -> usize {
        self.stride[0] * self.stride[1]
    }

    /// Place of the source under a tap of the output (0, 0), from the start of a channel.
    pub(super) fn offset(&self, tap: &Tap) -> usize {
        let place = self.origin as isize + tap.shift[0] * self.pitch as isize + tap.shift[1];
        debug_assert!(place >= 0, "a tap reaches before its plane");
        tap.phase * self.phase + place as usize
    }

    /// Lays out planes (N, H, W), with room for a panel behind the last.
    pub(super) fn lay_out(&self, xs: &[f32]) -> Vec<f32> {
        let pixels = self.size[0] * self.size[1];
        let laid_out = self.phases() * self.phase;
        let planes = xs.len() / pixels.max(1);
        build_pieces(planes * laid_out + PANEL, laid_out, |start, dst| {
            let Some(src) = xs.get(start / laid_out * pixels..) else { return };
            let src = &src[..pixels.min(src.len())];
            match self.stride[1] {
                1 => lay_out_lines(src, self, dst),
                _ => lay_out_phases(src, self, dst),
            }
        })
    }
}

simd! {
    /// Lays out a plane whose pixels are all of one phase: short lines are not worth a call each.
    fn lay_out_lines(src: &[f32], grid: &Grid, dst: &mut [f32]) {
        let [down, _] = grid.stride;
        for (y, line) in src.chunks_exact(grid.size[1]).enumerate() {
            let at = y % down * grid.phase + grid.origin + y / down * grid.pitch;
            dst[at..][..line.len()].iter_mut().zip(line).for_each(|(d, s)| *d = *s);
        }
    }
}

/// Lays out a plane whose pixels are dealt out to phases.
fn lay_out_phases(src: &[f32], grid: &Grid, dst: &mut [f32]) {
    let [down, across] = grid.stride;
    for (y, line) in src.chunks_exact(grid.size[1]).enumerate() {
        let at = grid.origin + y / down * grid.pitch;
        let phases = &mut dst[y % down * across * grid.phase..];
        for (x, dst) in phases.chunks_mut(grid.phase).take(across).enumerate() {
            let count = line.len().saturating_sub(x).div_ceil(across);
            if count > 0 {
                every(&line[x..], across, &mut dst[at..][..count]);
            }
        }
    }
}
