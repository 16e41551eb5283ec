//! A processor without a matrix unit.

use super::{Left, SIDE};

pub(super) fn available() -> bool {
    false
}

pub(super) unsafe fn shape(_rows: [usize; 2]) {
    unreachable!("no unit");
}

pub(super) unsafe fn release() {
    unreachable!("no unit");
}

pub(super) unsafe fn sum(
    _left: Left<'_>,
    _rows: [*const u16; 2],
    _columns: [*const u32; 2],
    _sums: &mut [[f32; 2 * SIDE]; 2 * SIDE],
) {
    unreachable!("no unit");
}
