//! Matrix products on views of slices, in fixed tiles.

use rayon::prelude::*;

/// Largest rows and columns of a tile of [`product`].
const TILE: usize = 256;

/// A matrix to read, inside a slice; rows may overlap.
#[derive(Clone, Copy)]
pub(super) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Mat<'a> {
    /// Element (r, c) is data[r row_stride + c column_stride].
    pub(super) fn new(data: &'a [f32], [rows, columns]: [usize; 2], [row_stride, column_stride]: [usize; 2]) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride, column_stride), "matrix view leaves its slice");
        Self { data, rows, columns, row_stride, column_stride }
    }

    /// A row-major matrix.
    pub(super) fn rows(data: &'a [f32], columns: usize) -> Self {
        Self::new(data, [data.len() / columns.max(1), columns], [columns, 1])
    }

    /// Columns [from, from + count).
    pub(super) fn columns(self, from: usize, count: usize) -> Self {
        assert!(from + count <= self.columns, "columns leave the matrix");
        Self { data: &self.data[(from * self.column_stride).min(self.data.len())..], columns: count, ..self }
    }

    /// Rows and columns exchanged.
    pub(super) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix to write, inside a slice.
pub(super) struct MatMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> MatMut<'a> {
    /// Element (r, c) is data[r row_stride + c].
    pub(super) fn new(data: &'a mut [f32], [rows, columns]: [usize; 2], row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride, 1), "matrix view leaves its slice");
        assert!(rows <= 1 || row_stride >= columns, "rows of a written matrix overlap");
        Self { data, rows, columns, row_stride }
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_stride + (columns - 1) * column_stride < len
}

/// dst = a b, or dst += a b, on this thread.
pub(super) fn multiply(dst: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, accumulate: bool) {
    assert!(a.rows == dst.rows && b.columns == dst.columns && a.columns == b.rows, "matrix shapes do not fit");
    let (rows, columns) = (dst.rows, dst.columns);
    let target = Target { start: dst.data.as_mut_ptr(), row_stride: dst.row_stride };
    // SAFETY: the views were checked against their slices, and `dst` is borrowed mutably.
    unsafe { target.multiply([0, rows], [0, columns], a, b, accumulate) }
}

/// dst = sum of a b over the pairs, or dst += that sum, in tiles over the threads.
pub(super) fn product(dst: MatMut<'_>, pairs: &[(Mat<'_>, Mat<'_>)], accumulate: bool) {
    let (rows, columns) = (dst.rows, dst.columns);
    for (a, b) in pairs {
        assert!(a.rows == rows && b.columns == columns && a.columns == b.rows, "matrix shapes do not fit");
    }
    let (tile_rows, tile_columns) = tile(rows, columns, pairs.iter().map(|(a, _)| a.columns).sum());
    let (down, across) = (rows.div_ceil(tile_rows), columns.div_ceil(tile_columns));
    let target = Target { start: dst.data.as_mut_ptr(), row_stride: dst.row_stride };
    let run = |i: usize| {
        let (r, c) = (i / across * tile_rows, i % across * tile_columns);
        let (r, c) = ([r, (r + tile_rows).min(rows)], [c, (c + tile_columns).min(columns)]);
        for (i, (a, b)) in pairs.iter().enumerate() {
            // SAFETY: the views were checked against their slices, `dst` is borrowed mutably, the tiles are disjoint.
            unsafe { target.multiply(r, c, *a, *b, accumulate || i > 0) }
        }
    };
    match down * across {
        1 => run(0),
        tiles => (0..tiles).into_par_iter().for_each(run),
    }
}

/// Rows and columns of a tile: the whole of a small product; finer tiles where there would be few.
fn tile(rows: usize, columns: usize, depth: usize) -> (usize, usize) {
    let (rows, columns) = (rows.max(1), columns.max(1));
    if rows * columns * depth <= 64 * 64 * 64 {
        return (rows, columns);
    }
    let side = if rows * columns > 8 * TILE * TILE { TILE } else { TILE / 2 };
    (side, side)
}

#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    row_stride: usize,
}

// SAFETY: tasks write disjoint tiles of a slice that is borrowed mutably while they run.
unsafe impl Sync for Target {}

impl Target {
    /// Rows and columns [from, to) of the product.
    ///
    /// # Safety
    /// The ranges lie inside the target and inside `a` and `b`, and nobody else touches that part of the target.
    unsafe fn multiply(self, rows: [usize; 2], columns: [usize; 2], a: Mat<'_>, b: Mat<'_>, accumulate: bool) {
        let (m, n, k) = (rows[1] - rows[0], columns[1] - columns[0], a.columns);
        if m == 0 || n == 0 {
            return;
        }
        // SAFETY: by the contract of this function.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                self.start.add(rows[0] * self.row_stride + columns[0]),
                1,
                self.row_stride as isize,
                accumulate,
                a.data.as_ptr().wrapping_add(rows[0] * a.row_stride),
                a.column_stride as isize,
                a.row_stride as isize,
                b.data.as_ptr().wrapping_add(columns[0] * b.column_stride),
                b.column_stride as isize,
                b.row_stride as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            )
        }
    }
}
