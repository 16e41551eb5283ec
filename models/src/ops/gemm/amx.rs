//! Products on the matrix unit of x86-64 processors that have one (AMX; Intel, Software Developer's Manual, volume 1, chapter
//! 18), several times faster than the vectors.
//!
//! The unit multiplies numbers of 8 significant bits (bf16) and sums in single precision. A number is cut into two of them, a
//! high and a low part, which keep 16 bits; of the four products of parts the one of low parts is left out (Henry, Tang,
//! Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision computations", 2019). An element
//! a b of a sum is so within 3 2^-16 |a b| of the true product.
//!
//! So it serves nets that have learnt. In training gradients are small differences of large sums, of which 16 bits leave
//! little: they stay with the vectors.
//!
//! As with vectors, each element of a result is one chain of additions, in the same order wherever it lies.

#[cfg_attr(target_arch = "x86_64", path = "amx/unit.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "amx/no_unit.rs")]
mod unit;

use super::super::cpu::simd;
use super::tile::{PANEL, Start};

/// Rows of the left and columns of the right matrix in a tile.
pub(super) const SIDE: usize = 16;

/// Columns of the left and rows of the right matrix that the unit multiplies at once.
pub(super) const STEP: usize = 32;

/// Rows of the right matrix that a product takes at once: so many, of a panel, stay in a second-level cache.
pub(super) const DEPTH: usize = 1024;

/// Words of one part of a tile: a word holds two numbers that meet at the unit at once.
const TILE: usize = SIDE * STEP / 2;

/// Whether a right matrix with so many rows and columns is worth laying out for the unit: they fill tiles at least by half.
/// Not a question of how many rows are multiplied with it, so that the parts of a sequence give what the whole gives.
pub(super) fn worth(depth: usize, columns: usize) -> bool {
    depth >= STEP / 2 && columns >= SIDE / 2 && unit::available()
}

/// The depth for which a laid-out matrix has room.
pub(super) fn depth(depth: usize) -> usize {
    depth.next_multiple_of(STEP)
}

/// Words that a left matrix of so many rows takes, or a right one of so many columns.
pub(super) fn words(side: usize, of_depth: usize) -> usize {
    side.next_multiple_of(SIDE) * depth(of_depth)
}

/// Floats that hold words, as these.
pub(super) fn as_words(floats: &[f32]) -> &[u32] {
    // SAFETY: both have one size and alignment, and any bits are valid for either.
    unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), floats.len()) }
}

/// Memory of floats as words.
pub(super) fn words_mut(floats: &mut [f32]) -> &mut [u32] {
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), floats.len()) }
}

/// High and low part of a number, each in the upper half of a word.
#[inline(always)]
pub(super) fn parts(x: f32) -> (u32, u32) {
    /// Half of what is cut off.
    const HALF: u32 = 0x8000;
    const UPPER: u32 = 0xffff_0000;
    let high = x.to_bits().wrapping_add(HALF) & UPPER;
    let low = (x - f32::from_bits(high)).to_bits().wrapping_add(HALF) & UPPER;
    (high, low)
}

simd! {
    /// Lays out a panel of a right matrix, rows of [`PANEL`]. Tiles of [`SIDE`] columns follow one another, in each the
    /// steps, in each the high and the low parts, in each the pairs of rows.
    pub(super) fn lay_out_right(panel: &[f32], dst: &mut [u32]) {
        const NONE: [f32; PANEL] = [0.0; PANEL];
        let (rows, _) = panel.as_chunks::<PANEL>();
        let tile = 2 * TILE * rows.len().div_ceil(STEP);
        let pairs = rows.len().next_multiple_of(STEP) / 2;
        let row = |k: usize| rows.get(k).unwrap_or(&NONE);
        for pair in 0..pairs {
            let (a, b) = (row(2 * pair), row(2 * pair + 1));
            let at = pair / SIDE * 2 * TILE + pair % SIDE * SIDE;
            let columns = a.as_chunks::<SIDE>().0.iter().zip(b.as_chunks::<SIDE>().0);
            for ((a, b), dst) in columns.zip(dst.chunks_exact_mut(tile)) {
                let (high, low) = dst[at..].split_at_mut(TILE);
                for i in 0..SIDE {
                    let ((a, a_low), (b, b_low)) = (parts(a[i]), parts(b[i]));
                    high[i] = a >> 16 | b;
                    low[i] = a_low >> 16 | b_low;
                }
            }
        }
    }
}

simd! {
    /// Lays out rows of a left matrix: tiles of [`SIDE`] rows follow one another, in each the steps, in each the high and the
    /// low parts, in each the rows. Row r, of `depth` numbers, begins at `left[r stride]`.
    pub(super) fn lay_out_left(left: &[f32], stride: usize, rows: usize, depth: usize, dst: &mut [u32]) {
        for (i, tile) in dst[..words(rows, depth)].chunks_exact_mut(words(SIDE, depth)).enumerate() {
            for row in 0..SIDE.min(rows - i * SIDE) {
                let src = &left[(i * SIDE + row) * stride..][..depth];
                for (src, dst) in src.chunks(STEP).zip(tile.chunks_exact_mut(2 * TILE)) {
                    let mut step = [0.0; STEP];
                    match src.first_chunk::<STEP>() {
                        Some(src) => step = *src,
                        None => step[..src.len()].copy_from_slice(src),
                    }
                    let (high, low) = dst[row * SIDE..].split_at_mut(TILE);
                    for i in 0..SIDE {
                        // A pair of floats is a word of 64 bits: both halves are cut at once.
                        let ((a, a_low), (b, b_low)) = (parts(step[2 * i]), parts(step[2 * i + 1]));
                        high[i] = a >> 16 | b;
                        low[i] = a_low >> 16 | b_low;
                    }
                }
            }
        }
    }
}

/// A left matrix in numbers of the unit: row r of tile i begins at `i tile + r row`, its low parts `low` further on, and its
/// steps, [`STEP`] numbers each, `steps` further on.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) numbers: &'a [u16],
    pub(super) row: usize,
    pub(super) tile: usize,
    pub(super) low: usize,
    pub(super) steps: &'a [usize],
}

impl<'a> Left<'a> {
    /// What [`lay_out_left`] laid out.
    pub(super) fn laid_out(words: &'a [u32], depth: usize) -> Self {
        const STEPS: [usize; DEPTH / STEP] = {
            let mut steps = [0; DEPTH / STEP];
            let mut i = 0;
            while i < steps.len() {
                steps[i] = 4 * i * TILE;
                i += 1;
            }
            steps
        };
        // SAFETY: two numbers are a word, and any bits are valid for either.
        let numbers = unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), 2 * words.len()) };
        let steps = &STEPS[..depth.div_ceil(STEP)];
        Self { numbers, row: STEP, tile: 4 * steps.len() * TILE, low: 2 * TILE, steps }
    }

    /// Whether so many rows lie inside the numbers.
    fn holds(&self, rows: usize) -> bool {
        let last = (rows - 1) / SIDE * self.tile + (rows - 1) % SIDE * self.row;
        let step = self.steps.iter().max().map_or(0, |step| step + STEP);
        self.tile >= (SIDE - 1) * self.row && last + self.low + step <= self.numbers.len()
    }
}

/// Sums of two by two tiles.
#[repr(C, align(64))]
struct Sums([[f32; 2 * SIDE]; 2 * SIDE]);

/// A product of a left matrix and a right one that [`lay_out_right`] laid out: dst = start + left right. Row r of the result
/// begins at `dst[r stride]`.
///
/// # Safety
/// The unit is there ([`worth`]); the result's elements, and those of `start`, lie inside allocations that nobody else uses.
pub(super) unsafe fn product(
    [rows, width]: [usize; 2],
    left: Left<'_>,
    right: &[u32],
    dst: *mut f32,
    stride: usize,
    start: Start,
) {
    let tile = left.steps.len() * 2 * TILE;
    assert!(left.holds(rows) && right.len() >= width.div_ceil(SIDE) * tile && tile > 0, "a product does not fit");
    let mut sums = Sums([[0.0; 2 * SIDE]; 2 * SIDE]);
    let mut shaped = [0; 2];
    // Two tiles of columns stay in the cache while all rows pass.
    for column in (0..width).step_by(2 * SIDE) {
        let near = &right[column / SIDE * tile..];
        let far = if column + SIDE < width { &near[tile..] } else { near };
        let start = match start {
            Start::Row(from) => Start::Row(from.wrapping_add(column)),
            other => other,
        };
        for row in (0..rows).step_by(2 * SIDE) {
            // A tile that is not there is the one above again, with one row, which is not read.
            let below = (rows - row).saturating_sub(SIDE).min(SIDE);
            let shape = [SIDE.min(rows - row), below.max(1)];
            if shape != shaped {
                // SAFETY: the unit is there.
                unsafe { unit::shape(shape) };
                shaped = shape;
            }
            let above = &left.numbers[row / SIDE * left.tile..];
            let below = if below > 0 { &above[left.tile..] } else { above };
            let (above, columns) = ([above, below].map(<[u16]>::as_ptr), [near, far].map(<[u32]>::as_ptr));
            // SAFETY: the tiles lie inside the matrices, by the assertion; the unit's shapes fit.
            unsafe { unit::sum(left, above, columns, &mut sums.0) };
            let dst = dst.wrapping_add(row * stride + column);
            add(&sums, (rows - row).min(2 * SIDE), (width - column).min(2 * SIDE), dst, stride, start);
        }
    }
    // SAFETY: the unit is there. Released, it costs a change of threads nothing.
    unsafe { unit::release() };
}

simd! {
    /// Adds sums to what the result starts from, as [`product`] says and under its contract.
    fn add(sums: &Sums, rows: usize, width: usize, dst: *mut f32, stride: usize, start: Start) {
        for (r, sums) in sums.0[..rows].iter().enumerate() {
            let dst = dst.wrapping_add(r * stride);
            for (i, sum) in sums[..width].iter().enumerate() {
                // SAFETY: by the contract.
                unsafe {
                    let base = match start {
                        Start::Zero => 0.0,
                        Start::Row(row) => *row.add(i),
                        Start::Result => *dst.add(i),
                    };
                    dst.add(i).write(base + sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in (-1, 1) of many sizes.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next() * next() * next()).collect()
    }

    /// Rows of `rows` by `columns` numbers times a panel.
    fn multiply([rows, width, depth]: [usize; 3], left: &[f32], right: &[f32], start: &[f32]) -> Vec<f32> {
        let (mut above, mut panel) = (vec![0; words(rows, depth)], vec![0; words(PANEL, depth)]);
        lay_out_left(left, depth, rows, depth, &mut above);
        lay_out_right(right, &mut panel);
        let mut dst = vec![f32::NAN; rows * width];
        // SAFETY: the caller has asked for the unit, and the result has these sizes.
        unsafe {
            product(
                [rows, width],
                Left::laid_out(&above, depth),
                &panel,
                dst.as_mut_ptr(),
                width,
                Start::Row(start.as_ptr()),
            );
        }
        dst
    }

    #[test]
    fn products_are_as_near_as_is_said() {
        if !unit::available() {
            return eprintln!("this processor has no matrix unit");
        }
        for [rows, width, depth] in [[1, 1, 16], [16, 16, 32], [33, 50, 31], [17, 64, 300], [70, 33, 1024]] {
            let (left, right) = (numbers(rows * depth, 1), numbers(depth * PANEL, 2));
            let start = numbers(PANEL, 3);
            let ours = multiply([rows, width, depth], &left, &right, &start);
            for (i, ours) in ours.iter().enumerate() {
                let (r, c) = (i / width, i % width);
                let terms = (0..depth).map(|k| f64::from(left[r * depth + k]) * f64::from(right[k * PANEL + c]));
                let (sum, sizes) = terms.fold((0.0, 0.0), |(sum, sizes), term| (sum + term, sizes + term.abs()));
                // Beside the parts that are left out, each addition rounds.
                let bound = sizes * (3.0 / 65_536.0 + depth as f64 / 16_777_216.0) + 1e-7;
                let expected = f64::from(start[c]) + sum;
                assert!((f64::from(*ours) - expected).abs() <= bound, "{rows} {width} {depth} at {r} {c}");
            }
        }
    }

    /// What streams rely on: a row is the same whichever rows pass with it.
    #[test]
    fn a_row_depends_on_no_other() {
        if !unit::available() {
            return eprintln!("this processor has no matrix unit");
        }
        let (rows, depth) = (100, 290);
        let (left, right, start) = (numbers(rows * depth, 4), numbers(depth * PANEL, 5), numbers(PANEL, 6));
        let whole = multiply([rows, PANEL, depth], &left, &right, &start);
        for (from, to) in [(0, 1), (5, 21), (30, 97)] {
            let part = multiply([to - from, PANEL, depth], &left[from * depth..to * depth], &right, &start);
            assert!(part == whole[from * PANEL..to * PANEL], "rows {from} to {to}");
        }
    }
}
