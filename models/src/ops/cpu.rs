//! What the CPU kernels share: views of tensors as slices, fixed tiles over threads, loops compiled for wide vectors.
//!
//! The release build targets baseline x86-64, whose vectors hold 4 floats. [`crate::simd`] compiles a loop again for AVX2
//! and for AVX-512 and picks at run time. Products and sums are never fused and reductions use [`LANES`] explicit partial
//! sums, so all versions round alike.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Add;

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, StorageRef, Tensor, bail};
use rayon::prelude::*;

/// Partial sums of a reduction.
pub(super) const LANES: usize = 16;

/// Elements that one task of an elementwise loop handles.
const ELEMENTS_PER_TASK: usize = 16 * 1024;

/// Elements that [`build`] clears at once: they are still in the first-level cache when the loop fills them.
const ELEMENTS_AT_ONCE: usize = 256;

/// Defines a function whose body is compiled for the baseline, for AVX2 and for AVX-512, and picks at run time.
#[macro_export]
macro_rules! simd {
    ($(#[$attr:meta])* $vis:vis fn $name:ident $([$($generic:ident: $bound:path),+])? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$attr])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn wide $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,fma")]
                #[allow(clippy::too_many_arguments)]
                fn widest $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                let has_512 = std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512vl");
                if has_512 && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has the features that `widest` is compiled for.
                    return unsafe { widest($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has the features that `wide` is compiled for.
                    return unsafe { wide($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}
pub(super) use crate::simd;

/// The elements of a contiguous f32 argument of a custom operation.
pub(super) fn elements<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("internal: a CPU kernel was given strided elements"),
    }
}

/// A contiguous f32 tensor of the CPU, locked for reading.
pub(super) struct View<'a> {
    storage: StorageRef<'a>,
    start: usize,
    len: usize,
}

impl<'a> View<'a> {
    /// Locks the elements of `tensor`, which must be contiguous f32 on the CPU.
    pub(super) fn new(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("internal: a CPU kernel was given a strided tensor")
        };
        match &*storage {
            Storage::Cpu(CpuStorage::F32(_)) => Ok(Self { start, len: end - start, storage }),
            _ => bail!("a CPU kernel needs f32 tensors on the CPU, not {:?}", tensor.dtype()),
        }
    }
}

impl std::ops::Deref for View<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(all)) => &all[self.start..self.start + self.len],
            _ => &[],
        }
    }
}

thread_local! {
    static COMPOSED: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread's operations on the CPU the compositions that other devices use, or kernels again: to test on a
/// machine without a GPU what runs on one.
pub fn compose_on_this_thread(composed: bool) {
    COMPOSED.set(composed);
}

/// Whether operations on this tensor run as kernels of this crate: on the CPU, see [`compose_on_this_thread`].
pub fn has_kernels(tensor: &Tensor) -> bool {
    matches!(tensor.device(), Device::Cpu) && !COMPOSED.get()
}

/// A tensor of the CPU that takes over `data`.
pub(super) fn tensor(data: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(data, shape.into(), &Device::Cpu)
}

/// Calls `work` on pieces of `dst`, all but the last of `piece` elements, with the offset of each.
pub(super) fn for_pieces<T: Send>(dst: &mut [T], piece: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let piece = piece.max(1);
    if dst.len() <= piece {
        if !dst.is_empty() {
            work(0, dst);
        }
        return;
    }
    dst.par_chunks_mut(piece).enumerate().for_each(|(i, part)| work(i * piece, part));
}

/// Builds `len` elements: `work` fills pieces of any length given their offsets. A piece holds zeros before, written by the
/// thread that fills it: clearing all of a large result first would take memory as long as the work.
pub(super) fn build(len: usize, work: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    build_parts(len, ELEMENTS_PER_TASK, ELEMENTS_AT_ONCE, work)
}

/// Builds `len` elements as [`build`] does, in pieces of `piece` elements, perhaps fewer in the last.
pub(super) fn build_pieces(len: usize, piece: usize, work: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    build_parts(len, piece * (ELEMENTS_PER_TASK / piece.max(1)).max(1), piece, work)
}

/// Builds `len` elements in tasks of `task` elements, each in pieces of `piece`.
fn build_parts(len: usize, task: usize, piece: usize, work: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let all = |dst: &mut [MaybeUninit<f32>]| {
        for_pieces(dst, task, |start, part| {
            for (i, part) in part.chunks_mut(piece.max(1)).enumerate() {
                part.fill(MaybeUninit::new(0.0));
                // SAFETY: every element has just been written, and f32 has the layout of MaybeUninit<f32>.
                work(start + i * piece, unsafe { &mut *(part as *mut [MaybeUninit<f32>] as *mut [f32]) });
            }
        });
    };
    // SAFETY: the pieces cover all elements.
    unsafe { written(len, all) }
}

/// `len` elements that `write` writes.
///
/// # Safety
/// It writes every one of them.
pub(super) unsafe fn written(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut dst = Vec::with_capacity(len);
    let fresh = &mut dst.spare_capacity_mut()[..len];
    if cfg!(debug_assertions) {
        // What is left out shows.
        fresh.fill(MaybeUninit::new(f32::NAN));
    }
    write(fresh);
    // SAFETY: by the contract.
    unsafe { dst.set_len(len) };
    dst
}

/// `len` elements; `write` writes pieces of them, given the offset of each.
///
/// # Safety
/// It writes all of every piece.
pub(super) unsafe fn written_in_tasks(len: usize, write: impl Fn(usize, &mut [MaybeUninit<f32>]) + Sync) -> Vec<f32> {
    // SAFETY: the pieces cover all elements; the rest by the contract.
    unsafe { written(len, |dst| for_pieces(dst, ELEMENTS_PER_TASK, write)) }
}

/// Adds up `count` contributions of `len` sums each: `work(i, sums)` adds contribution i. At most `groups` tasks, of
/// contiguous ranges that depend on `count` alone, sum apart; their sums are added in order.
pub(super) fn reduce(count: usize, groups: usize, len: usize, work: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let per_group = count.div_ceil(groups.max(1)).max(1);
    let partial = (0..count.div_ceil(per_group))
        .into_par_iter()
        .map(|group| {
            let mut sums = vec![0.0; len];
            for i in group * per_group..((group + 1) * per_group).min(count) {
                work(i, &mut sums);
            }
            sums
        })
        .collect::<Vec<_>>();
    let mut parts = partial.into_iter();
    let mut total = parts.next().unwrap_or_else(|| vec![0.0; len]);
    for part in parts {
        add(&mut total, &part);
    }
    total
}

simd! {
    /// dst += src.
    pub(super) fn add(dst: &mut [f32], src: &[f32]) {
        for (d, s) in dst.iter_mut().zip(src) {
            *d += *s;
        }
    }
}

simd! {
    /// dst[i] = src[i stride].
    pub(super) fn every(src: &[f32], stride: usize, dst: &mut [f32]) {
        match stride {
            1 => dst.copy_from_slice(&src[..dst.len()]),
            2 => {
                if let Some((last, dst)) = dst.split_last_mut() {
                    dst.iter_mut().zip(src.chunks_exact(2)).for_each(|(d, s)| *d = s[0]);
                    *last = src[2 * dst.len()];
                }
            }
            _ => dst.iter_mut().zip(src.iter().step_by(stride)).for_each(|(d, s)| *d = *s),
        }
    }
}

simd! {
    /// Sum of a slice.
    pub(super) fn sum(src: &[f32]) -> f32 {
        let mut lanes = [0f32; LANES];
        let mut chunks = src.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (l, s) in lanes.iter_mut().zip(chunk) {
                *l += *s;
            }
        }
        for (l, s) in lanes.iter_mut().zip(chunks.remainder()) {
            *l += *s;
        }
        fold(&lanes, f32::add)
    }
}

simd! {
    /// Sum of the products of two slices.
    pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = [0f32; LANES];
        let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
        for (a, b) in a_chunks.zip(b_chunks) {
            for ((l, a), b) in lanes.iter_mut().zip(a).zip(b) {
                *l += *a * *b;
            }
        }
        for ((l, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
            *l += *a * *b;
        }
        fold(&lanes, f32::add)
    }
}

/// The lanes of a reduction as one, by a balanced tree.
#[inline(always)]
pub(super) fn fold(lanes: &[f32; LANES], both: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = *lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = both(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Sums over the rows of a row-major matrix of `columns` columns.
pub(super) fn column_sums(src: &[f32], columns: usize) -> Vec<f32> {
    const ROWS: usize = 64;
    let rows = src.len() / columns.max(1);
    reduce(rows.div_ceil(ROWS), 16, columns, |i, sums| {
        for row in src[i * ROWS * columns..((i + 1) * ROWS).min(rows) * columns].chunks_exact(columns) {
            add(sums, row);
        }
    })
}

/// A row-major matrix whose rows are all `bias`, or zeros.
pub(super) fn biased_rows(rows: usize, columns: usize, bias: Option<&[f32]>) -> Vec<f32> {
    let mut dst = vec![0.0; rows * columns];
    if let Some(bias) = bias {
        for_pieces(&mut dst, columns * (ELEMENTS_PER_TASK / columns.max(1)).max(1), |_, piece| {
            piece.chunks_exact_mut(columns).for_each(|row| row.copy_from_slice(bias));
        });
    }
    dst
}

/// `src`, (rows, columns), with rows and columns exchanged.
pub(super) fn transposed(src: &[f32], columns: usize) -> Vec<f32> {
    let rows = src.len() / columns.max(1);
    let mut dst = vec![0.0; src.len()];
    for (r, row) in src.chunks_exact(columns.max(1)).enumerate() {
        for (c, x) in row.iter().enumerate() {
            dst[c * rows + r] = *x;
        }
    }
    dst
}
