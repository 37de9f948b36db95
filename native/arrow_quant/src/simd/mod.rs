//! Vectors of sixteen rows, in the registers of each instruction set, chosen at run time.
//!
//! An algorithm is written once, as a [`Job`] generic over [`Isa`], and compiled once for each level.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod dots;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod turn;

use cpu::{Feature, Tier, Tiers};
use std::sync::OnceLock;

/// A set of instructions that this machine has, with kernels for it.
pub type Level = cpu::Level<Set>;

/// The sets of instructions that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Plain Rust, with whatever the target always has.
    Portable,
    /// AVX2, FMA and F16C: x86-64 since 2013.
    Avx2,
    /// The same with AVX-VNNI: since Alder Lake and Zen 5.
    AvxVnni,
    /// AVX-512 with VNNI: since Cascade Lake and Zen 4.
    Avx512,
    /// What 64-bit ARM always has.
    Neon,
}

impl Tiers for Set {
    const ALL: &'static [Tier<Self>] = {
        use Feature::{Avx2, Avx512bw, Avx512f, Avx512vnni, AvxVnni, F16c, Fma, Neon};
        &[
            Tier { set: Self::Portable, name: "portable", needs: &[] },
            Tier { set: Self::Avx2, name: "avx2", needs: &[Avx2, Fma, F16c] },
            Tier { set: Self::AvxVnni, name: "avxvnni", needs: &[Avx2, Fma, F16c, AvxVnni] },
            Tier {
                set: Self::Avx512,
                name: "avx512",
                needs: &[Avx2, Fma, F16c, Avx512f, Avx512bw, Avx512vnni],
            },
            Tier { set: Self::Neon, name: "neon", needs: &[Neon] },
        ]
    };

    fn best() -> &'static OnceLock<Level> {
        static BEST: OnceLock<Level> = OnceLock::new();
        &BEST
    }
}

/// Do a job with the instructions of a level.
pub(crate) fn run<J: Job>(level: Level, job: J) -> J::Output {
    // SAFETY: the machine has what the level needs, which is listed above and is all that the
    // function of its set enables; portable code enables nothing.
    unsafe {
        match level.set() {
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => avx2::run(job),
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni => avx2::run_vnni(job),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::run(job),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => job.run::<neon::Neon>(),
            // No machine has the instructions of another target.
            _ => job.run::<portable::Portable>(),
        }
    }
}

/// Work that is compiled for every level.
pub(crate) trait Job {
    /// What it gives.
    type Output;
    /// Do it. Each implementation, and each function that it calls with an `Isa`, is
    /// `#[inline(always)]`, so that it is compiled with the instructions of `I`.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`; [`run`] sees to it.
    unsafe fn run<I: Isa>(self) -> Self::Output;
}

/// One instruction set's vectors of sixteen rows.
///
/// # Safety
///
/// An implementation uses no instructions beyond its set, and reads and writes exactly the bytes
/// that each method names, at any alignment.
///
/// Who calls a method guarantees that the machine has the instructions of the set, and that each
/// pointer is valid for the bytes that the method names. [`run`] gives a [`Job`] only an `Isa`
/// whose instructions the machine has.
pub(crate) unsafe trait Isa {
    /// A float a row.
    type Floats: Copy;
    /// An integer a row.
    type Ints: Copy;
    /// Four codes a row, each a byte: a quad.
    type Quad: Copy;
    /// An integer a row, and what products need on their way to it.
    type Sums: Copy;

    /// The zero point of products of 8-bit codes: they are computed with codes less this.
    const CENTER: f32;
    /// Activation rows that are multiplied with [`Isa::WIDE`] panels at once, so many that all
    /// accumulators fit into registers: 8 or 4.
    const TILE: usize = 4;
    /// Panels of 16 rows that are multiplied at once: one or two.
    const WIDE: usize = 1;
    /// Whether accumulators need [`Isa::settle`].
    const SETTLES: bool = false;

    /// The same float in all rows.
    unsafe fn splat(x: f32) -> Self::Floats;
    /// Read 16 floats.
    unsafe fn load(from: *const f32) -> Self::Floats;
    /// Write 16 floats.
    unsafe fn store(to: *mut f32, x: Self::Floats);
    /// Read 16 float16s, 32 bytes.
    unsafe fn halves(from: *const u8) -> Self::Floats;
    /// `a + b`.
    unsafe fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a - b`.
    unsafe fn sub(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b`.
    unsafe fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a / b`.
    unsafe fn div(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`.
    unsafe fn fma(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// The smaller of two numbers.
    unsafe fn min(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The larger of two numbers.
    unsafe fn max(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `x` in rows where `a < b`, `y` in the others.
    unsafe fn less(
        a: Self::Floats,
        b: Self::Floats,
        x: Self::Floats,
        y: Self::Floats,
    ) -> Self::Floats;
    /// Transpose: read 16 floats in each of 16 rows that are `stride` apart, and return the
    /// columns.
    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize) -> [Self::Floats; 16] {
        let mut columns = [[0.0; 16]; 16];
        for row in 0..16 {
            for (column, out) in columns.iter_mut().enumerate() {
                // SAFETY: `from` is valid for 16 floats in each of 16 rows (this method's
                // contract), and `row` and `column` are below 16.
                out[row] = unsafe { *from.add(row * stride + column) };
            }
        }
        // SAFETY: the machine has the set (contract of `Isa`), and each column is an array of 16
        // floats.
        columns.map(|column| unsafe { Self::load(column.as_ptr()) })
    }
    /// The nearest integer, of two the even one; of numbers below 2^22.
    #[inline(always)]
    unsafe fn round(x: Self::Floats) -> Self::Floats {
        // SAFETY: the machine has the set (contract of `Isa`); only registers are used.
        unsafe {
            let large = Self::splat(12_582_912.0); // 1.5 * 2^23, whose neighbours are integers
            Self::sub(Self::add(x, large), large)
        }
    }

    /// Read 16 bytes.
    unsafe fn bytes(from: *const u8) -> Self::Ints;
    /// The lower and the upper four bits of bytes.
    unsafe fn nibbles(x: Self::Ints) -> (Self::Ints, Self::Ints);
    /// Read 8 bytes: the lower four bits of each, then the upper four of each.
    unsafe fn spread(from: *const u8) -> Self::Ints;
    /// `x`, with two bits of `upper`, from bit `FROM` on, as its bits 4 and 5.
    unsafe fn with_upper<const FROM: u32>(x: Self::Ints, upper: Self::Ints) -> Self::Ints;
    /// As floats.
    unsafe fn to_floats(x: Self::Ints) -> Self::Floats;
    /// Write whole numbers from -127 to 127 as 16 bytes.
    #[inline(always)]
    unsafe fn write_bytes(to: *mut i8, x: Self::Floats) {
        let mut floats = [0f32; 16];
        // SAFETY: the machine has the set, `to` is valid for writes of 16 bytes, and numbers are
        // from -127 to 127 (contract of this method); the array holds the 16 floats stored.
        unsafe {
            Self::store(floats.as_mut_ptr(), x);
            let bytes = floats.map(|x| x.to_int_unchecked::<i32>() as i8);
            to.cast::<[i8; 16]>().write_unaligned(bytes);
        }
    }

    /// Prefetch the cache line of an address, where there is such an instruction; any address will
    /// do.
    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}

    /// Read 64 codes, a byte each.
    unsafe fn quad(from: *const u8) -> Self::Quad;
    /// Write 64 codes, a byte each.
    unsafe fn put_quad(to: *mut u8, x: Self::Quad);
    /// Shift all bits right; from the byte above come bits that a mask must take away.
    unsafe fn right<const N: i32>(x: Self::Quad) -> Self::Quad;
    /// Shift all bits left; bits that reach the byte above a mask must take away.
    unsafe fn left<const N: i32>(x: Self::Quad) -> Self::Quad;
    /// Each byte masked.
    unsafe fn and(x: Self::Quad, mask: u8) -> Self::Quad;
    /// All bits of both.
    unsafe fn or(a: Self::Quad, b: Self::Quad) -> Self::Quad;

    /// Round numbers from 0 to 255 and write them as 64 codes: the four columns of each row.
    unsafe fn write_quad(to: *mut u8, columns: [Self::Floats; 4]);
    /// The codes of each of the four columns.
    unsafe fn columns(x: Self::Quad) -> [Self::Ints; 4];

    /// All zero.
    unsafe fn no_sums() -> Self::Sums;
    /// Accumulate the products of a quad of at most 4 bits a code with the 4 signed bytes at `x`,
    /// none of them -128; call [`Isa::settle`] after eight quads at most.
    unsafe fn dot(sums: Self::Sums, codes: Self::Quad, x: *const i8) -> Self::Sums;
    /// The same with 8 bits a code, less [`Isa::CENTER`] each; it needs no [`Isa::settle`].
    unsafe fn dot_bytes(sums: Self::Sums, codes: Self::Quad, x: *const i8) -> Self::Sums;
    /// Widen the accumulators, so that eight more quads fit.
    unsafe fn settle(sums: Self::Sums) -> Self::Sums;
    /// Accumulators that are settled, as floats.
    unsafe fn total(sums: Self::Sums) -> Self::Floats;
}
