//! A processor without a matrix unit.

use super::SIDE;

pub(super) fn available() -> bool {
    false
}

pub(super) unsafe fn shape(_rows: [usize; 2]) {
    unreachable!("no unit");
}

pub(super) unsafe fn release() {
    unreachable!("no unit");
}

pub(super) unsafe fn sum(_steps: usize, _tiles: [*const u32; 4], _sums: &mut [[f32; 2 * SIDE]; 2 * SIDE]) {
    unreachable!("no unit");
}
