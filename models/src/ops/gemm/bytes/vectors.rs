//! The vectors themselves.

use std::arch::x86_64::{
    __m512i, _mm512_add_ps, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_load_si512, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_si512,
};

use super::{FEW, FewColumns, Left, QUAD, Right, SIDE};

/// Whether this processor has them.
pub(in crate::ops) fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vnni")
}

/// Writes some rows of a product, from the first on, and of them `TILES` vectors of columns from `vector` on, or adds them to
/// what is there.
///
/// # Safety
/// The vectors are [`available`]; the rows, at most `ROWS`, lie inside the left matrix.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) unsafe fn block<const ROWS: usize, const TILES: usize>(
    left: Left<'_>,
    [first, rows]: [usize; 2],
    right: &Right,
    vector: usize,
    add: bool,
    dst: &mut [f32],
) {
    let starts: [*const u8; ROWS] = std::array::from_fn(|r| {
        // A row that is not there is the last one again.
        left.bytes.as_ptr().wrapping_add(left.row(first + r.min(rows - 1)))
    });
    let columns: [&[_]; TILES] = std::array::from_fn(|t| &right.quads[(vector + t) * right.depth..][..right.depth]);
    let mut held: [[__m512i; TILES]; ROWS] = [[_mm512_setzero_si512(); TILES]; ROWS];
    for (i, &piece) in left.pieces.iter().enumerate() {
        for quad in 0..left.quads {
            // SAFETY: a right matrix has a quad for each of the left one's, of a vector each.
            let column = |t: usize| unsafe { columns[t].get_unchecked(i * left.quads + quad) };
            let right: [_; TILES] = std::array::from_fn(|t| {
                // SAFETY: as above.
                unsafe { _mm512_load_si512((&raw const *column(t)).cast()) }
            });
            for (start, held) in starts.iter().zip(&mut held) {
                // SAFETY: by the contract.
                let four = unsafe { start.wrapping_add(piece + quad * QUAD).cast::<i32>().read_unaligned() };
                let four = _mm512_set1_epi32(four);
                for (held, right) in held.iter_mut().zip(right) {
                    *held = _mm512_dpbusd_epi32(*held, four, right);
                }
            }
        }
    }
    for t in 0..TILES {
        let column = (vector + t) * SIDE;
        let width = SIDE.min(right.columns - column);
        let mask = (0xffffu32 >> (SIDE - width)) as u16;
        // SAFETY: as many scales as a vector has columns.
        let scales = unsafe { _mm512_loadu_ps(right.scales[vector + t].as_ptr()) };
        let scales = _mm512_mul_ps(scales, _mm512_set1_ps(left.scale));
        for (r, held) in held.iter().take(rows).enumerate() {
            let dst = &mut dst[(first + r) * right.columns + column..][..width];
            let sums = _mm512_mul_ps(_mm512_cvtepi32_ps(held[t]), scales);
            // SAFETY: as many elements as the mask has bits.
            unsafe {
                let base = _mm512_maskz_loadu_ps(if add { mask } else { 0 }, dst.as_ptr());
                _mm512_mask_storeu_ps(dst.as_mut_ptr(), mask, _mm512_add_ps(base, sums));
            }
        }
    }
}

/// Writes the block of columns `block` of a product with few, or adds it to what is there: of the rows, `VECTORS` vectors from
/// the first on.
///
/// # Safety
/// The vectors are [`available`]; so many rows lie inside the left matrix.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) unsafe fn few<const VECTORS: usize>(
    left: Left<'_>,
    [first, rows]: [usize; 2],
    right: &FewColumns,
    block: usize,
    add: bool,
    dst: &mut [f32],
) {
    let start = left.bytes.as_ptr().wrapping_add(first * QUAD);
    let mut held: [[__m512i; VECTORS]; FEW] = [[_mm512_setzero_si512(); VECTORS]; FEW];
    for (&piece, quads) in left.pieces.iter().zip(&right.quads[block * right.depth..]) {
        let pixels: [_; VECTORS] = std::array::from_fn(|v| {
            // SAFETY: by the contract.
            unsafe { _mm512_loadu_si512(start.wrapping_add(piece + v * SIDE * QUAD).cast()) }
        });
        for (quad, held) in quads.iter().zip(&mut held) {
            let four = _mm512_set1_epi32(i32::from_ne_bytes(quad.map(|byte| byte as u8)));
            for (held, pixels) in held.iter_mut().zip(pixels) {
                *held = _mm512_dpbusd_epi32(*held, pixels, four);
            }
        }
    }
    let scales = &right.scales[block * FEW..];
    for ((held, scale), column) in held.iter().zip(scales).zip(dst.chunks_exact_mut(rows)) {
        let scale = _mm512_set1_ps(scale * left.scale);
        for (v, held) in held.iter().enumerate() {
            let dst = &mut column[first + v * SIDE..];
            let mask = (0xffffu32 >> SIDE.saturating_sub(dst.len())) as u16;
            let sums = _mm512_mul_ps(_mm512_cvtepi32_ps(*held), scale);
            // SAFETY: as many elements as the mask has bits.
            unsafe {
                let base = _mm512_maskz_loadu_ps(if add { mask } else { 0 }, dst.as_ptr());
                _mm512_mask_storeu_ps(dst.as_mut_ptr(), mask, _mm512_add_ps(base, sums));
            }
        }
    }
}
