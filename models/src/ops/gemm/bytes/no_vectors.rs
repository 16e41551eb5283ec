//! A processor without such vectors.

use super::{FewColumns, Left, Right};

pub(in crate::ops) fn available() -> bool {
    false
}

pub(super) unsafe fn block<const ROWS: usize, const TILES: usize>(
    _left: Left<'_>,
    _rows: [usize; 2],
    _right: &Right,
    _vector: usize,
    _add: bool,
    _dst: &mut [f32],
) {
    unreachable!("no such vectors");
}

pub(super) unsafe fn few<const VECTORS: usize>(
    _left: Left<'_>,
    _rows: [usize; 2],
    _right: &FewColumns,
    _block: usize,
    _add: bool,
    _dst: &mut [f32],
) {
    unreachable!("no such vectors");
}
