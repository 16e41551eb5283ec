//! The high parts' products without a matrix unit: vectors that multiply pairs of bf16 (AVX512_BF16; Intel, Software
//! Developer's Manual, volume 2, VDPBF16PS), twice as many at once as of f32.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use super::{Left, SIDE, TILE};

/// Rows whose sums are in registers at once.
const ROWS: usize = 8;

/// Whether this processor has such vectors.
pub(super) fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bf16")
}

/// The product of high parts of two tiles of the left with two of the right matrix, as the unit's.
///
/// # Safety
/// Such vectors are [`available`]; the tiles of the left matrix have so many rows, and those of the right matrix as many steps.
pub(super) unsafe fn sum_of_high(
    left: Left<'_>,
    tiles: [*const u16; 2],
    rows: [usize; 2],
    columns: [*const u32; 2],
    sums: &mut [[f32; 2 * SIDE]; 2 * SIDE],
) {
    for ((tile, rows), sums) in tiles.into_iter().zip(rows).zip(sums.chunks_exact_mut(SIDE)) {
        for (i, sums) in sums.as_chunks_mut::<ROWS>().0.iter_mut().enumerate().take(rows.div_ceil(ROWS)) {
            // A row that is not there is the last one again.
            let row = |r: usize| tile.wrapping_add((i * ROWS + r).min(rows - 1) * left.row);
            // SAFETY: the rows lie inside the matrix.
            unsafe { block(left.steps, std::array::from_fn(row), columns, sums) };
        }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn block(
    steps: &[usize],
    rows: [*const u16; ROWS],
    columns: [*const u32; 2],
    sums: &mut [[f32; 2 * SIDE]; ROWS],
) {
    let mut held: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
    for (i, &step) in steps.iter().enumerate() {
        for pair in 0..SIDE {
            let right = columns.map(|column| {
                let at = column.wrapping_add(2 * TILE * i + SIDE * pair);
                // SAFETY: by the contract.
                numbers(unsafe { _mm512_loadu_si512(at.cast()) })
            });
            for (row, held) in rows.iter().zip(&mut held) {
                // SAFETY: by the contract.
                let pair = unsafe { row.wrapping_add(step + 2 * pair).cast::<i32>().read_unaligned() };
                let left = numbers(_mm512_set1_epi32(pair));
                held[0] = _mm512_dpbf16_ps(held[0], left, right[0]);
                held[1] = _mm512_dpbf16_ps(held[1], left, right[1]);
            }
        }
    }
    for (held, sums) in held.iter().zip(sums) {
        let (near, far) = sums.split_at_mut(SIDE);
        // SAFETY: both are as long as a vector.
        unsafe {
            _mm512_storeu_ps(near.as_mut_ptr(), held[0]);
            _mm512_storeu_ps(far.as_mut_ptr(), held[1]);
        }
    }
}

/// Bits as pairs of bf16.
#[target_feature(enable = "avx512f,avx512bf16")]
fn numbers(bits: __m512i) -> __m512bh {
    // SAFETY: both have 512 bits, and any are valid.
    unsafe { std::mem::transmute(bits) }
}
