//! Products whose right matrix is read in place, a panel at a time: those of convolutions.

use rayon::prelude::*;

use super::even;
use super::tile::{DEPTH, PANEL, ROWS, Start, Tile};
use super::{amx, amx::SIDE};

/// Left matrices of `rows` by `depth`, one after the other, in slices of even depth and in the order in which tiles read them.
pub(in crate::ops) struct Left {
    values: Vec<f32>,
    rows: usize,
    depth: usize,
    /// Whether they are laid out for the matrix unit.
    unit: bool,
}

impl Left {
    fn of_unit(rows: usize, depth: usize) -> bool {
        amx::worth(even(depth, DEPTH), rows)
    }

    /// Rows of the tiles that [`Left::new`] expects.
    pub(in crate::ops) fn tile_rows(rows: usize, depth: usize) -> usize {
        if Self::of_unit(rows, depth) { SIDE } else { even(rows, ROWS) }
    }

    /// `tiles` has the matrices; of each the slices, of each the tiles of [`Left::tile_rows`], of each the columns.
    pub(in crate::ops) fn new(tiles: Vec<f32>, rows: usize, depth: usize) -> Self {
        let unit = Self::of_unit(rows, depth);
        if !unit {
            return Self { values: tiles, rows, depth, unit };
        }
        let slice = even(depth, DEPTH);
        let room = |depth: usize| amx::words(rows, depth);
        let whole = depth / slice * room(slice) + room(depth % slice);
        let mut values = vec![0.0; tiles.len() / (rows * depth) * whole];
        let matrices = tiles.par_chunks_exact(rows * depth).zip(values.par_chunks_exact_mut(whole));
        let slices = matrices.flat_map(|(src, dst)| src.par_chunks(rows * slice).zip(dst.par_chunks_mut(room(slice))));
        slices.for_each(|(src, dst)| {
            let depth = src.len() / rows;
            for (src, dst) in src.chunks(SIDE * depth).zip(dst.chunks_mut(amx::words(SIDE, depth))) {
                let rows = src.len() / depth;
                amx::lay_out_left_columns(src, rows, rows, depth, amx::words_mut(dst));
            }
        });
        Self { values, rows, depth, unit }
    }

    /// The slice of matrix `index` that begins with column `first`, and its depth.
    fn slice(&self, index: usize, first: usize) -> (&[f32], usize) {
        let slice = even(self.depth, DEPTH);
        let depth = slice.min(self.depth - first);
        if !self.unit {
            return (&self.values[(index * self.depth + first) * self.rows..][..depth * self.rows], depth);
        }
        let room = |depth: usize| amx::words(self.rows, depth);
        let whole = self.depth / slice * room(slice) + room(self.depth % slice);
        (&self.values[index * whole + first / slice * room(slice)..][..room(depth)], depth)
    }

    /// Multiplies the slice of matrix `index` that begins with column `first` with a panel of `width` columns of a right
    /// matrix, whose row k begins at `right[offsets[k]]`; `dst` has rows of [`PANEL`]. `laid_out` is memory to use.
    ///
    /// # Safety
    /// A panel from each offset on lies inside `right`.
    #[allow(clippy::too_many_arguments)]
    pub(in crate::ops) unsafe fn product(
        &self,
        [index, first]: [usize; 2],
        width: usize,
        right: &[f32],
        offsets: &[usize],
        dst: &mut [f32],
        start: Start,
        laid_out: &mut Vec<u32>,
    ) {
        let (left, depth) = self.slice(index, first);
        let rows = self.rows;
        assert!(depth == offsets.len() && dst.len() == rows * PANEL, "a panel does not fit");
        if self.unit {
            laid_out.resize(amx::words(width, depth), 0);
            amx::lay_out_right(right, offsets, width, laid_out);
            let left = amx::as_words(left);
            // SAFETY: the unit is there; `dst` by the assertion.
            return unsafe {
                amx::product([rows, width, depth], left, laid_out, dst.as_mut_ptr(), PANEL, start);
            };
        }
        let step = even(rows, ROWS);
        for row in (0..rows).step_by(step) {
            let count = step.min(rows - row);
            let tile = Tile {
                rows: count,
                width,
                left: left[row * depth..].as_ptr(),
                strides: [1, count],
                right: right.as_ptr(),
                offsets,
                dst: dst[row * PANEL..].as_mut_ptr(),
                dst_stride: PANEL,
                start,
            };
            // SAFETY: `left` and `dst` by the assertion, `right` by the contract.
            unsafe { tile.run() };
        }
    }
}
