//! The matrix unit itself.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, __get_cpuid_max, _xgetbv};
use std::sync::OnceLock;

use super::{Left, SIDE};

/// Whether this processor has the unit, and its system lets this process use it.
pub(super) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_unit() && permitted())
}

// Asking for the processor's features is safe, and said so from some version of Rust on.
#[allow(unused_unsafe)]
fn has_unit() -> bool {
    #[target_feature(enable = "xsave")]
    fn saved_states() -> u64 {
        // SAFETY: `has_unit` has asked for OSXSAVE.
        unsafe { _xgetbv(0) }
    }
    const OSXSAVE: u32 = 1 << 27;
    /// AMX-BF16 and AMX-TILE.
    const UNIT: u32 = 1 << 22 | 1 << 24;
    /// Configuration and data of tiles.
    const STATES: u64 = 3 << 17;
    // SAFETY: every x86-64 processor has the instruction.
    let leaf = |leaf: u32| unsafe { __cpuid_count(leaf, 0) };
    // SAFETY: as above.
    if unsafe { __get_cpuid_max(0) }.0 < 7 || leaf(1).ecx & OSXSAVE == 0 {
        return false;
    }
    // SAFETY: OSXSAVE says that the instruction is there.
    let saved = unsafe { saved_states() };
    leaf(7).edx & UNIT == UNIT && saved & STATES == STATES && std::is_x86_feature_detected!("avx512bw")
}

/// Asks Linux for the state of the tiles, which it gives to processes that ask (Documentation/arch/x86/xstate.rst).
fn permitted() -> bool {
    #[cfg(target_os = "linux")]
    {
        const SYS_ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XFEATURE_XTILEDATA: i64 = 18;
        unsafe extern "C" {
            fn syscall(number: i64, ...) -> i64;
        }
        // SAFETY: the call changes nothing but what this process may use.
        unsafe { syscall(SYS_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Shapes of the tiles, as the unit reads them.
#[repr(C, align(64))]
#[derive(Default)]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_of_row: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    fn new(rows: [usize; 2]) -> Self {
        let [above, below] = rows.map(|rows| rows as u8);
        let mut shapes = Self { palette: 1, ..Self::default() };
        shapes.bytes_of_row[..8].fill(64);
        shapes.rows[..8].copy_from_slice(&[above, above, below, below, above, below, SIDE as u8, SIDE as u8]);
        shapes
    }
}

/// Gives the unit the shapes of a product with so many rows, 1 to [`SIDE`], in each of two tiles.
///
/// # Safety
/// The unit is [`available`].
pub(super) unsafe fn shape(rows: [usize; 2]) {
    let shapes = Shapes::new(rows);
    // SAFETY: the unit is there, and the shapes are valid.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, preserves_flags, readonly)) };
}

/// Gives the unit's state back, so that it need not be kept when threads change.
///
/// # Safety
/// The unit is [`available`].
pub(super) unsafe fn release() {
    // SAFETY: the unit is there.
    unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
}

/// The products of two tiles of the left with two of the right matrix: of high parts, of high with low and of low with high
/// ones.
///
/// # Safety
/// The unit has its shapes, and the tiles of the right matrix as many steps as the left one.
pub(super) unsafe fn sum(
    left: Left<'_>,
    [above, below]: [*const u16; 2],
    [near, far]: [*const u32; 2],
    sums: &mut [[f32; 2 * SIDE]; 2 * SIDE],
) {
    // SAFETY: reads the steps, writes the sums.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "mov {lower}, [{step}]",
            "lea {upper}, [{above} + 2 * {lower}]",
            "lea {lower}, [{below} + 2 * {lower}]",
            "tileloadd tmm4, [{upper} + {row}]",
            "tileloadd tmm6, [{near} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{far} + {line}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lower} + {row}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm6, [{near} + {line} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{far} + {line} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {upper}, {low}",
            "add {lower}, {low}",
            "tileloadd tmm4, [{upper} + {row}]",
            "tileloadd tmm6, [{near} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{lower} + {row}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{far} + {line}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {step}, 8",
            "add {near}, 2048",
            "add {far}, 2048",
            "dec {steps}",
            "jnz 2b",
            "mov {upper:e}, 128",
            "tilestored [{sums} + {upper}], tmm0",
            "tilestored [{sums} + {upper} + 64], tmm1",
            "tilestored [{sums} + {upper} + 2048], tmm2",
            "tilestored [{sums} + {upper} + 2112], tmm3",
            above = in(reg) above,
            below = in(reg) below,
            near = inout(reg) near => _,
            far = inout(reg) far => _,
            step = inout(reg) left.steps.as_ptr() => _,
            steps = inout(reg) left.steps.len() => _,
            row = in(reg) 2 * left.row,
            low = in(reg) 2 * left.low,
            line = in(reg) 64usize,
            sums = in(reg) sums.as_mut_ptr(),
            upper = out(reg) _,
            lower = out(reg) _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
