//! The innermost loops of every matrix product and convolution: a tile of the result stays in registers while a column of
//! the left matrix meets a row of the right one at a time.
//!
//! Each element of a tile is one chain of additions in the order of the rows, whatever the tile's size and place, so that a
//! result depends on neither.

use super::even;

/// Columns of a panel of the right matrix.
pub(in crate::ops) const PANEL: usize = 64;

/// A tile's width is a multiple of this.
pub(in crate::ops) const WIDTHS: usize = 16;

/// Most rows of a tile.
pub(in crate::ops) const ROWS: usize = 12;

/// Rows of the right matrix that a product takes at once: so many, of a panel, fit a first-level cache.
pub(in crate::ops) const DEPTH: usize = 256;

/// How far ahead of its use the right matrix is asked for: some rows of a panel, where they lie one after the other.
const AHEAD: usize = 12 * PANEL;

/// A vector of floats.
trait Lanes: Copy {
    /// Floats in it.
    const COUNT: usize;

    fn zero() -> Self;

    /// All lanes from one float.
    unsafe fn splat(from: *const f32) -> Self;

    /// Lanes from consecutive floats, of any alignment.
    unsafe fn load(from: *const f32) -> Self;

    unsafe fn store(self, to: *mut f32);

    /// Asks for the cache line at an address that will be read soon, or does nothing.
    fn prefetch(_from: *const f32) {}

    /// self + a b.
    fn add_product(self, a: Self, b: Self) -> Self;

    fn add(self, other: Self) -> Self;
}

impl Lanes for [f32; 4] {
    const COUNT: usize = 4;

    #[inline(always)]
    fn zero() -> Self {
        [0.0; 4]
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: by the contract.
        [unsafe { *from }; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: by the contract; an array of floats is aligned as a float.
        unsafe { *from.cast() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: by the contract.
        unsafe { *to.cast() = self }
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|i| self[i] + a[i] * b[i])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }
}

/// Vectors of x86-64 processors.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    /// Implements [`Lanes`]; the methods are used only where the processor has the vectors.
    macro_rules! lanes {
        ($name:ident, $count:literal, $zero:ident, $splat:ident, $load:ident, $store:ident, $add_product:ident, $add:ident) => {
            impl Lanes for $name {
                const COUNT: usize = $count;

                #[inline(always)]
                fn zero() -> Self {
                    // SAFETY: the processor has these vectors.
                    unsafe { $zero() }
                }

                #[inline(always)]
                unsafe fn splat(from: *const f32) -> Self {
                    // SAFETY: by the contract, and as above.
                    unsafe { $splat(*from) }
                }

                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: by the contract, and as above.
                    unsafe { $load(from) }
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: by the contract, and as above.
                    unsafe { $store(to, self) }
                }

                #[inline(always)]
                fn prefetch(from: *const f32) {
                    // SAFETY: asking for a line has no effect, whatever the address.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
                }

                #[inline(always)]
                fn add_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: the processor has these vectors.
                    unsafe { $add_product(a, b, self) }
                }

                #[inline(always)]
                fn add(self, other: Self) -> Self {
                    // SAFETY: the processor has these vectors.
                    unsafe { $add(self, other) }
                }
            }
        };
    }
    lanes!(
        __m256,
        8,
        _mm256_setzero_ps,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps
    );
    lanes!(
        __m512,
        16,
        _mm512_setzero_ps,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps
    );
}

/// A product to compute: `rows` (at most [`ROWS`]) by `width` (a multiple of [`WIDTHS`], at most [`PANEL`]) elements.
///
/// Element (r, k) of the left matrix is `left[r strides[0] + k strides[1]]`; row k of the right matrix begins at
/// `right[offsets[k]]`, row r of the result at `dst[r dst_stride]`.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Tile<'a> {
    pub(in crate::ops) rows: usize,
    pub(in crate::ops) width: usize,
    pub(in crate::ops) left: *const f32,
    pub(in crate::ops) strides: [usize; 2],
    pub(in crate::ops) right: *const f32,
    pub(in crate::ops) offsets: &'a [usize],
    pub(in crate::ops) dst: *mut f32,
    pub(in crate::ops) dst_stride: usize,
    pub(in crate::ops) start: Start,
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(in crate::ops) enum Start {
    /// Nothing: the result may be uninitialised before.
    Zero,
    /// This row, for every row of the result.
    Row(*const f32),
    /// What the result holds.
    Result,
}

/// Computes `rows` rows of a panel of `width` columns, in tiles of [`even`](super::even) height.
///
/// `left` has a column for each offset, tile by tile: (columns, rows of the tile). Row k of the right matrix begins at
/// `right[offsets[k]]`; `dst` has rows of [`PANEL`].
///
/// # Safety
/// A panel from each offset on lies inside `right`.
pub(in crate::ops) unsafe fn panel(
    rows: usize,
    width: usize,
    left: &[f32],
    right: &[f32],
    offsets: &[usize],
    dst: &mut [f32],
    start: Start,
) {
    assert!(left.len() == rows * offsets.len() && dst.len() == rows * PANEL, "a panel does not fit");
    let step = even(rows, ROWS);
    for row in (0..rows).step_by(step) {
        let count = step.min(rows - row);
        let tile = Tile {
            rows: count,
            width,
            left: left[row * offsets.len()..].as_ptr(),
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

impl Tile<'_> {
    /// Computes the tile with the widest vectors of this processor.
    ///
    /// # Safety
    /// All of the rows named above lie inside allocations that nobody writes meanwhile, and nobody else uses those of `dst`.
    pub(in crate::ops) unsafe fn run(self) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{__m256, __m512};

            #[target_feature(enable = "avx512f")]
            unsafe fn avx512(tile: Tile<'_>) {
                // SAFETY: by the contract of `run`.
                unsafe { tile.split::<__m512, 4, 6>() }
            }
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2(tile: Tile<'_>) {
                // SAFETY: by the contract of `run`.
                unsafe { tile.split::<__m256, 2, 6>() }
            }
            if std::arch::is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has the feature; the rest by the contract.
                return unsafe { avx512(self) };
            }
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                // SAFETY: as above.
                return unsafe { avx2(self) };
            }
        }
        // SAFETY: by the contract.
        unsafe { self.split::<[f32; 4], 2, 4>() }
    }

    /// Cuts the tile into parts that fit the registers: `MOST` rows and `WIDE` vectors, or what is left of either.
    #[inline(always)]
    unsafe fn split<V: Lanes, const WIDE: usize, const MOST: usize>(self) {
        for column in (0..self.width).step_by(WIDE * V::COUNT) {
            let vectors = WIDE.min((self.width - column) / V::COUNT);
            let most = if vectors > 2 { MOST } else { MOST * WIDE / 2 };
            for row in (0..self.rows).step_by(most) {
                let start = match self.start {
                    Start::Row(from) => Start::Row(from.wrapping_add(column)),
                    other => other,
                };
                let part = Tile {
                    start,
                    rows: most.min(self.rows - row),
                    left: self.left.wrapping_add(row * self.strides[0]),
                    right: self.right.wrapping_add(column),
                    dst: self.dst.wrapping_add(row * self.dst_stride + column),
                    ..self
                };
                // SAFETY: part of this tile.
                unsafe {
                    match (vectors, self.strides[0] == 1) {
                        (4.., true) => part.of_rows::<V, 4, true>(),
                        (4.., false) => part.of_rows::<V, 4, false>(),
                        (3, true) => part.of_rows::<V, 3, true>(),
                        (3, false) => part.of_rows::<V, 3, false>(),
                        (2, true) => part.of_rows::<V, 2, true>(),
                        (2, false) => part.of_rows::<V, 2, false>(),
                        (_, true) => part.of_rows::<V, 1, true>(),
                        (_, false) => part.of_rows::<V, 1, false>(),
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn of_rows<V: Lanes, const N: usize, const SIDE_BY_SIDE: bool>(self) {
        // SAFETY: by the contract of `run`.
        unsafe {
            match self.rows {
                0 => {}
                1 => self.part::<V, 1, N, SIDE_BY_SIDE>(),
                2 => self.part::<V, 2, N, SIDE_BY_SIDE>(),
                3 => self.part::<V, 3, N, SIDE_BY_SIDE>(),
                4 => self.part::<V, 4, N, SIDE_BY_SIDE>(),
                5 => self.part::<V, 5, N, SIDE_BY_SIDE>(),
                6 => self.part::<V, 6, N, SIDE_BY_SIDE>(),
                7 => self.part::<V, 7, N, SIDE_BY_SIDE>(),
                8 => self.part::<V, 8, N, SIDE_BY_SIDE>(),
                9 => self.part::<V, 9, N, SIDE_BY_SIDE>(),
                10 => self.part::<V, 10, N, SIDE_BY_SIDE>(),
                11 => self.part::<V, 11, N, SIDE_BY_SIDE>(),
                _ => self.part::<V, 12, N, SIDE_BY_SIDE>(),
            }
        }
    }

    /// A part of R rows and N vectors. SIDE_BY_SIDE: the rows of the left matrix are 1 apart, which saves additions.
    #[inline(always)]
    unsafe fn part<V: Lanes, const R: usize, const N: usize, const SIDE_BY_SIDE: bool>(self) {
        let [row, column] = self.strides;
        let mut sums = [[V::zero(); N]; R];
        // The lines to write arrive while the products are summed.
        for r in 0..R {
            (0..N).for_each(|n| V::prefetch(self.dst.wrapping_add(r * self.dst_stride + n * V::COUNT)));
        }
        let mut left = self.left;
        // SAFETY: by the contract of `run`.
        unsafe {
            for &offset in self.offsets {
                let right = self.right.add(offset);
                let mut b = [V::zero(); N];
                for (n, b) in b.iter_mut().enumerate() {
                    *b = V::load(right.add(n * V::COUNT));
                    V::prefetch(right.wrapping_add(n * V::COUNT + AHEAD));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = V::splat(left.add(if SIDE_BY_SIDE { r } else { r * row }));
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = sum.add_product(a, b);
                    }
                }
                left = left.add(column);
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    let dst = self.dst.add(r * self.dst_stride + n * V::COUNT);
                    let sum = match self.start {
                        Start::Zero => sum,
                        Start::Row(row) => V::load(row.add(n * V::COUNT)).add(sum),
                        Start::Result => V::load(dst).add(sum),
                    };
                    sum.store(dst);
                }
            }
        }
    }
}
