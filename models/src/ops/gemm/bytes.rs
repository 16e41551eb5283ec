//! Products of bytes by vectors that multiply four pairs of them at once (AVX512_VNNI; Intel, Software Developer's Manual,
//! volume 2, VPDPBUSD), four times as many as of f32.
//!
//! Sums of whole numbers are exact, so that each element of a result is the same whichever others are computed with it. What is
//! lost is lost when numbers become bytes: up to half of the 127th part of the largest of a column of a right matrix, of the
//! 255th of the largest of a left one, or of the 65535th where two bytes hold a number.

#[cfg_attr(target_arch = "x86_64", path = "bytes/vectors.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "bytes/no_vectors.rs")]
mod vectors;

pub(in crate::ops) use vectors::available;

/// Bytes of a row and of a column that meet at once.
pub(in crate::ops) const QUAD: usize = 4;

/// Columns of a vector.
pub(in crate::ops) const SIDE: usize = 16;

/// Rows whose sums are in registers at once, beside two vectors of columns or one.
const ROWS: [usize; 2] = [10, 16];

/// Columns whose sums with two vectors of rows are in registers at once.
const FEW: usize = 12;

/// The largest byte of a right matrix.
const LARGEST: f32 = 127.0;

/// A left matrix of numbers from 0 up. Its rows come in lines of `width`: row r of line l begins at byte `l pitch + r stride`,
/// and its pieces, `quads` [`QUAD`]s each, where `pieces` say from there. A byte is a number over `scale`.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Left<'a> {
    pub(in crate::ops) bytes: &'a [u8],
    pub(in crate::ops) width: usize,
    pub(in crate::ops) pitch: usize,
    pub(in crate::ops) stride: usize,
    pub(in crate::ops) pieces: &'a [usize],
    pub(in crate::ops) quads: usize,
    pub(in crate::ops) scale: f32,
}

impl Left<'_> {
    /// Where a row begins.
    fn row(&self, r: usize) -> usize {
        r / self.width * self.pitch + r % self.width * self.stride
    }

    /// Whether so many rows lie inside the bytes.
    fn holds(&self, rows: usize) -> bool {
        let last = |rows: usize| rows.checked_sub(1).map_or(0, |last| self.row(last));
        // The last row of a line that is whole may lie behind that of one that is not.
        let last = last(rows).max(last(rows / self.width * self.width));
        last + self.pieces.iter().max().unwrap_or(&0) + self.quads * QUAD <= self.bytes.len()
    }
}

/// Four rows of as many columns as a vector has.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Quads([[i8; QUAD]; SIDE]);

/// A right matrix: vectors of columns follow one another, in each the quads of rows. The bytes of a column are its numbers over
/// its scale.
pub(in crate::ops) struct Right {
    quads: Vec<Quads>,
    /// Of each vector of columns.
    scales: Vec<[f32; SIDE]>,
    columns: usize,
    /// Quads of a column.
    depth: usize,
}

impl Right {
    /// Lays out a matrix of so many quads of rows; `column` fills a column.
    pub(in crate::ops) fn new(columns: usize, depth: usize, column: impl Fn(usize, &mut [f32])) -> Self {
        let vectors = columns.div_ceil(SIDE);
        let mut quads = vec![Quads([[0; QUAD]; SIDE]); vectors * depth];
        let mut scales = vec![[0.0; SIDE]; vectors];
        let mut numbers = vec![0.0; depth * QUAD];
        for c in 0..columns {
            numbers.fill(0.0);
            column(c, &mut numbers);
            let vector = &mut quads[c / SIDE * depth..][..depth];
            scales[c / SIDE][c % SIDE] = write_column(&numbers, vector.iter_mut().map(|quads| &mut quads.0[c % SIDE]));
        }
        Self { quads, scales, columns, depth }
    }
}

/// A right matrix of few columns: what vectors hold are rows of the left one, which lie side by side, and its own bytes are read
/// quad by quad. Blocks of [`FEW`] columns follow one another, in each the quads of rows.
pub(in crate::ops) struct FewColumns {
    quads: Vec<[[i8; QUAD]; FEW]>,
    scales: Vec<f32>,
    /// Quads of a column.
    depth: usize,
}

impl FewColumns {
    /// Lays out a matrix of so many quads of rows; `column` fills a column.
    pub(in crate::ops) fn new(columns: usize, depth: usize, column: impl Fn(usize, &mut [f32])) -> Self {
        let mut quads = vec![[[0; QUAD]; FEW]; columns.div_ceil(FEW) * depth];
        let mut scales = Vec::with_capacity(columns);
        let mut numbers = vec![0.0; depth * QUAD];
        for c in 0..columns {
            numbers.fill(0.0);
            column(c, &mut numbers);
            let block = &mut quads[c / FEW * depth..][..depth];
            scales.push(write_column(&numbers, block.iter_mut().map(|quads| &mut quads[c % FEW])));
        }
        Self { quads, scales, depth }
    }
}

/// Writes a column's bytes, and returns what one stands for.
fn write_column<'a>(numbers: &[f32], quads: impl Iterator<Item = &'a mut [i8; QUAD]>) -> f32 {
    let scale = numbers.iter().fold(0f32, |largest, x| largest.max(x.abs())) / LARGEST;
    let to_byte = reciprocal(scale);
    for (quad, numbers) in quads.zip(numbers.as_chunks::<QUAD>().0) {
        *quad = numbers.map(|x| (x * to_byte).round() as i8);
    }
    scale
}

crate::simd! {
    /// The largest of numbers from 0 up.
    pub(in crate::ops) fn largest(xs: &[f32]) -> f32 {
        let (chunks, rest) = xs.as_chunks::<SIDE>();
        let mut most = [0f32; SIDE];
        for chunk in chunks {
            most.iter_mut().zip(chunk).for_each(|(most, x)| *most = if *x > *most { *x } else { *most });
        }
        most.iter().chain(rest).fold(0.0, |most, x| most.max(*x))
    }
}

/// Writes numbers from 0 to 255 times their scale as bytes.
pub(in crate::ops) fn round(xs: &[f32], scale: f32, dst: &mut [u8]) {
    round_by(xs, reciprocal(scale), dst);
}

/// Writes numbers from 0 to 65535 times their scale as two bytes each, the upper and the lower.
pub(in crate::ops) fn round_to_two(xs: &[f32], scale: f32, upper: &mut [u8], lower: &mut [u8]) {
    round_to_two_by(xs, reciprocal(scale), upper, lower);
}

/// Nothing but zeros has the scale 0.
fn reciprocal(scale: f32) -> f32 {
    if scale > 0.0 { scale.recip() } else { 0.0 }
}

/// Of so large a number the last bits are its ones.
const ONES: f32 = (1 << 23) as f32;

crate::simd! {
    fn round_by(xs: &[f32], to_byte: f32, dst: &mut [u8]) {
        xs.iter().zip(dst).for_each(|(x, dst)| *dst = (x * to_byte + ONES).to_bits() as u8);
    }
}

crate::simd! {
    fn round_to_two_by(xs: &[f32], to_bytes: f32, upper: &mut [u8], lower: &mut [u8]) {
        for ((x, upper), lower) in xs.iter().zip(upper).zip(lower) {
            let whole = (x * to_bytes + ONES).to_bits();
            (*upper, *lower) = ((whole >> 8) as u8, whole as u8);
        }
    }
}

/// The product of so many rows of a sum of left matrices with a right one: row after row, as long as the right matrix has
/// columns.
///
/// # Panics
/// Where sizes do not fit, or the vectors are not [`available`].
pub(in crate::ops) fn product(rows: usize, left: &[Left<'_>], right: &Right, dst: &mut [f32]) {
    let fits = |left: &Left<'_>| left.holds(rows) && left.pieces.len() * left.quads == right.depth;
    assert!(available() && left.iter().all(fits), "a product does not fit");
    let dst = &mut dst[..rows * right.columns];
    let vectors = right.scales.len();
    // Two vectors of columns stay in the cache while all rows pass.
    for vector in (0..vectors).step_by(2) {
        let count = (vectors - vector).min(2);
        let step = ROWS[2 - count];
        for row in (0..rows).step_by(step) {
            let [first, rows] = [row, step.min(rows - row)];
            for (i, left) in left.iter().enumerate() {
                // SAFETY: the vectors are there, and the rows lie inside the left matrix.
                unsafe {
                    match count {
                        2 => vectors::block::<{ ROWS[0] }, 2>(*left, [first, rows], right, vector, i > 0, dst),
                        _ => vectors::block::<{ ROWS[1] }, 1>(*left, [first, rows], right, vector, i > 0, dst),
                    }
                }
            }
        }
    }
}

/// The product of a sum of left matrices, whose rows lie side by side, with a right one of few columns: column after column, as
/// long as there are rows.
///
/// # Panics
/// Where sizes do not fit, or the vectors are not [`available`].
pub(in crate::ops) fn product_with_few(rows: usize, left: &[Left<'_>], right: &FewColumns, dst: &mut [f32]) {
    // Whole vectors are read.
    let fits = |left: &Left<'_>| {
        let beside = left.stride == QUAD && left.quads == 1 && left.pieces.len() == right.depth;
        let read = rows.next_multiple_of(SIDE);
        beside && left.holds(read) && read <= left.width
    };
    assert!(available() && left.iter().all(fits), "a product does not fit");
    for (block, dst) in dst[..rows * right.scales.len()].chunks_mut(FEW * rows).enumerate() {
        for row in (0..rows).step_by(2 * SIDE) {
            for (i, left) in left.iter().enumerate() {
                // SAFETY: the vectors are there, and these rows lie inside the left matrix.
                unsafe {
                    match rows - row > SIDE {
                        true => vectors::few::<2>(*left, [row, rows], right, block, i > 0, dst),
                        false => vectors::few::<1>(*left, [row, rows], right, block, i > 0, dst),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers that look random, below `limit`.
    fn numbers(count: usize, limit: u32, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) % limit) as f32
        };
        (0..count).map(|_| next()).collect()
    }

    /// Numbers that are bytes as they are come out exactly.
    #[test]
    fn products_of_bytes_are_exact() {
        if !available() {
            return eprintln!("this processor has no vectors that multiply bytes");
        }
        for [rows, columns, quads] in [[1, 1, 1], [8, 16, 3], [9, 12, 54], [33, 50, 7], [17, 96, 90]] {
            let depth = 2 * quads * QUAD;
            // Rows overlap, and the second piece lies behind the first with a gap.
            let (stride, gap) = (5, 3);
            let pieces = [0, quads * QUAD + gap];
            let begin = |row: usize| row / 7 * 41 + row % 7 * stride;
            let left = numbers(begin(rows - 1) + 6 * stride + depth + gap, 256, 1);
            let mut right = numbers(columns * depth, 255, 2);
            right.iter_mut().for_each(|x| *x -= 127.0);
            // The largest of either are there, so that the scales are 1.
            right.chunks_exact_mut(depth).for_each(|column| column[0] = -127.0);
            let mut bytes = vec![0; left.len()];
            round(&left, 1.0, &mut bytes);
            let laid_out = Right::new(columns, 2 * quads, |c, dst| dst.copy_from_slice(&right[c * depth..][..depth]));
            let matrix = |scale| Left { bytes: &bytes, width: 7, pitch: 41, stride, pieces: &pieces, quads, scale };
            let mut ours = vec![f32::NAN; rows * columns];
            product(rows, &[matrix(0.5), matrix(2.0)], &laid_out, &mut ours);
            for (i, ours) in ours.iter().enumerate() {
                let (row, column) = (begin(i / columns), &right[i % columns * depth..][..depth]);
                let terms = (0..depth).map(|k| left[row + k + k / (quads * QUAD) * gap] * column[k]);
                assert_eq!(*ours, 2.5 * terms.sum::<f32>(), "{rows} {columns} {quads} at {i}");
            }
        }
    }

    #[test]
    fn few_columns_give_what_others_give() {
        if !available() {
            return eprintln!("this processor has no vectors that multiply bytes");
        }
        for [rows, columns, depth] in [[1, 1, 1], [16, 12, 3], [33, 13, 10], [80, 20, 54]] {
            let pieces: Vec<usize> = (0..depth).map(|i| i * 20 + i / 3).collect();
            let width = usize::next_multiple_of(rows, SIDE);
            let bytes: Vec<u8> =
                numbers(width * QUAD + pieces[depth - 1], 256, 5).into_iter().map(|x| x as u8).collect();
            let weights = numbers(columns * depth * QUAD, 1000, 6);
            let column = |c: usize, dst: &mut [f32]| {
                dst.iter_mut().zip(&weights[c * depth * QUAD..]).for_each(|(dst, x)| *dst = x - 500.0);
            };
            let left = |scale| Left { bytes: &bytes, width, pitch: 0, stride: QUAD, pieces: &pieces, quads: 1, scale };
            let left = [left(0.5), left(2.0)];
            let (mut ours, mut others) = (vec![f32::NAN; rows * columns], vec![f32::NAN; rows * columns]);
            product_with_few(rows, &left, &FewColumns::new(columns, depth, column), &mut ours);
            product(rows, &left, &Right::new(columns, depth, column), &mut others);
            for (i, ours) in ours.iter().enumerate() {
                assert_eq!(*ours, others[i % rows * columns + i / rows], "{rows} {columns} {depth} at {i}");
            }
        }
    }

    #[test]
    fn numbers_become_the_nearest_bytes() {
        let xs: Vec<f32> = (0..1000).map(|i| i as f32 * 0.37).collect();
        let (mut one, mut upper, mut lower) = (vec![0; xs.len()], vec![0; xs.len()], vec![0; xs.len()]);
        let scales = [largest(&xs) / 255.0, largest(&xs) / 65_535.0];
        round(&xs, scales[0], &mut one);
        round_to_two(&xs, scales[1], &mut upper, &mut lower);
        for (i, x) in xs.iter().enumerate() {
            let wholes = [u32::from(one[i]), 256 * u32::from(upper[i]) + u32::from(lower[i])];
            for (whole, scale) in wholes.into_iter().zip(scales) {
                assert!((x - whole as f32 * scale).abs() <= 0.51 * scale, "{x} is not {whole} times {scale}");
            }
        }
        round(&[0.0], 0.0, &mut one);
        assert_eq!(one[0], 0, "nothing but zeros has no scale");
    }
}
