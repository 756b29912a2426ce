//! The inner loops of products on a Cortex-M4F, in its own instructions.
//!
//! The compiler's code for the portable loops spills half of its registers. Here two rows of weights share each input,
//! eight numbers are loaded at once, and all 32 registers are in use. Every operation is the portable loop's, in its
//! order: products are rounded before they are added (VMUL and VADD, which also take less time than VMLA).

#![allow(unsafe_code)]

#[cfg(cortex_m_fp)]
use super::simd::LANES;
use core::arch::asm;

/// Eight products and their sums into the registers from `$acc` on.
#[cfg(cortex_m_fp)]
macro_rules! multiply_add {
    ($($acc:literal $w:literal $x:literal),*) => {
        concat!(
            $("vmul.f32 s", $w, ", s", $w, ", s", $x, "\n",)*
            $("vadd.f32 s", $acc, ", s", $acc, ", s", $w, "\n",)*
        )
    };
}

/// Sums of pairs of registers, each into its first.
#[cfg(cortex_m_fp)]
macro_rules! add {
    ($($acc:literal $other:literal),*) => {
        concat!($("vadd.f32 s", $acc, ", s", $acc, ", s", $other, "\n",)*)
    };
}

#[cfg(cortex_m_dsp)]
macro_rules! four_products {
    () => {
        "ldr {even}, [{x}], #4
         ldr {odd}, [{x}], #4
         ldr {weights}, [{w0}], #4
         sxtb16 {spread}, {weights}
         sxtb16 {weights}, {weights}, ror #8
         smlad {first}, {spread}, {even}, {first}
         smlad {first}, {weights}, {odd}, {first}
         ldr {weights}, [{w1}], #4
         sxtb16 {spread}, {weights}
         sxtb16 {weights}, {weights}, ror #8
         smlad {second}, {spread}, {even}, {second}
         smlad {second}, {weights}, {odd}, {second}"
    };
}

#[cfg(cortex_m_fp)]
static ZEROS: [f32; 2 * LANES] = [0.0; 2 * LANES];

/// `[x . w0, x . w1]`, in the portable loop's order; as many turns as the shortest has.
#[cfg(cortex_m_fp)]
macro_rules! two_rows {
    ($name:ident, $weight:ty, $load:literal, $widen:literal) => {
        #[inline]
        pub(crate) fn $name(
            x: &[[f32; LANES]],
            w0: &[[$weight; LANES]],
            w1: &[[$weight; LANES]],
        ) -> [f32; 2] {
            let turns = x.len().min(w0.len()).min(w1.len());
            if turns == 0 {
                return [0.0; 2];
            }
            // SAFETY: each turn reads LANES elements of each slice, and there are `turns` such groups in all three.
            // The addresses are those of f32, or of halves at whole words (its caller sees to that).
            // `ZEROS` are 16 f32. All registers that are written are named; nothing is stored.
            let (first, second): (u32, u32);
            unsafe {
                asm!(
                    "vldmia {zeros}, {{s0-s15}}",
                    "2:",
                    "vldmia {x}!, {{s16-s23}}",
                    concat!("vldmia {w0}!, ", $load), $widen,
                    multiply_add!("0" "24" "16", "1" "25" "17", "2" "26" "18", "3" "27" "19",
                        "4" "28" "20", "5" "29" "21", "6" "30" "22", "7" "31" "23"),
                    concat!("vldmia {w1}!, ", $load), $widen,
                    multiply_add!("8" "24" "16", "9" "25" "17", "10" "26" "18", "11" "27" "19",
                        "12" "28" "20", "13" "29" "21", "14" "30" "22", "15" "31" "23"),
                    "subs {turns}, {turns}, #1",
                    "bne 2b",
                    // The one order in which lanes are added up: `simd::reduce`.
                    add!("0" "4", "1" "5", "2" "6", "3" "7", "0" "2", "1" "3", "0" "1"),
                    add!("8" "12", "9" "13", "10" "14", "11" "15", "8" "10", "9" "11", "8" "9"),
                    "vmov {zeros}, s0",
                    "vmov {turns}, s8",
                    zeros = inout(reg) ZEROS.as_ptr() => first,
                    x = inout(reg) x.as_ptr() => _,
                    w0 = inout(reg) w0.as_ptr() => _,
                    w1 = inout(reg) w1.as_ptr() => _,
                    turns = inout(reg) turns => second,
                    out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _,
                    out("d7") _, out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _,
                    out("d13") _, out("d14") _, out("d15") _,
                    options(nostack, readonly, pure),
                );
            }
            [f32::from_bits(first), f32::from_bits(second)]
        }
    };
}

#[cfg(cortex_m_fp)]
two_rows!(two_f32, f32, "{{s24-s31}}", "");
// Four words hold eight halves; each is widened into a register whose own halves were widened before.
#[cfg(cortex_m_fp)]
two_rows!(
    two_f16,
    u16,
    "{{s28-s31}}",
    "vcvtb.f32.f16 s24, s28
     vcvtt.f32.f16 s25, s28
     vcvtb.f32.f16 s26, s29
     vcvtt.f32.f16 s27, s29
     vcvtb.f32.f16 s28, s30
     vcvtt.f32.f16 s29, s30
     vcvtb.f32.f16 s30, s31
     vcvtt.f32.f16 s31, s31"
);

/// The order in which [`two_i8`] reads what it multiplies: of each four, the even ones first, as SXTB16 spreads weights.
#[cfg(cortex_m_dsp)]
pub(crate) fn spread<const N: usize>(row: &mut [i16]) {
    for group in row.chunks_exact_mut(N) {
        for four in group.chunks_exact_mut(4) {
            four.swap(1, 2);
        }
    }
}

/// `[x . w0, x . w1]` of whole numbers: four products in two instructions, after two that spread four weights.
///
/// `x` lies in the order that [`spread`] gives it.
#[cfg(cortex_m_dsp)]
#[inline]
pub(crate) fn two_i8<const N: usize>(x: &[[i16; N]], w0: &[[i8; N]], w1: &[[i8; N]]) -> [i32; 2] {
    const { assert!(N % 8 == 0) };
    let turns = x.len().min(w0.len()).min(w1.len()) * (N / 8);
    let (mut first, mut second) = (0i32, 0i32);
    if turns == 0 {
        return [first, second];
    }
    // SAFETY: each turn reads 8 elements of each slice, and there are `turns` such groups in all three. LDR takes
    // any address of normal memory while CCR.UNALIGN_TRP is 0, as it is after a reset; that the compiler's own code counts
    // on too. All registers that are written are named; nothing is stored.
    unsafe {
        asm!(
            "2:",
            four_products!(), four_products!(),
            "subs {turns}, {turns}, #1",
            "bne 2b",
            x = inout(reg) x.as_ptr() => _,
            w0 = inout(reg) w0.as_ptr() => _,
            w1 = inout(reg) w1.as_ptr() => _,
            turns = inout(reg) turns => _,
            first = inout(reg) first,
            second = inout(reg) second,
            even = out(reg) _, odd = out(reg) _, weights = out(reg) _, spread = out(reg) _,
            options(nostack, readonly, pure),
        );
    }
    [first, second]
}
