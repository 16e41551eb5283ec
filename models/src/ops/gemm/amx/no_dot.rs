//! A processor without vectors that multiply bf16.

use super::{Left, SIDE};

pub(super) fn available() -> bool {
    false
}

pub(super) unsafe fn sum_of_high(
    _left: Left<'_>,
    _tiles: [*const u16; 2],
    _rows: [usize; 2],
    _columns: [*const u32; 2],
    _sums: &mut [[f32; 2 * SIDE]; 2 * SIDE],
) {
    unreachable!("no such vectors");
}
