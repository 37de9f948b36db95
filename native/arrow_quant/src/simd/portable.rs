//! Plain Rust, which the compiler vectorises as far as the target always can.

use super::Isa;
use half::f16;
use std::array::from_fn;

/// Sixteen lanes in arrays.
pub(crate) struct Portable;

// SAFETY: the methods use what the target always has; pointers are read and written unaligned, for
// the bytes that `Isa` names.
unsafe impl Isa for Portable {
    type Floats = [f32; 16];
    type Ints = [i32; 16];
    type Quad = [u8; 64];
    type Sums = [i32; 16];

    const CENTER: f32 = 0.0;

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 16] {
        [x; 16]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 16] {
        // SAFETY: `from` is valid for reads of 16 floats (contract of `Isa`).
        unsafe { from.cast::<[f32; 16]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: [f32; 16]) {
        // SAFETY: `to` is valid for writes of 16 floats (contract of `Isa`).
        unsafe { to.cast::<[f32; 16]>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn halves(from: *const u8) -> [f32; 16] {
        // SAFETY: `from` is valid for reads of 32 bytes (contract of `Isa`).
        let halves = unsafe { from.cast::<[[u8; 2]; 16]>().read_unaligned() };
        halves.map(|bytes| f16::from_le_bytes(bytes).to_f32())
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn div(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        from_fn(|i| a[i] / b[i])
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 16], b: [f32; 16], c: [f32; 16]) -> [f32; 16] {
        from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn min(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn max(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn less(a: [f32; 16], b: [f32; 16], x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> [i32; 16] {
        // SAFETY: `from` is valid for reads of 16 bytes (contract of `Isa`).
        unsafe { from.cast::<[u8; 16]>().read_unaligned() }.map(i32::from)
    }
    #[inline(always)]
    unsafe fn nibbles(x: [i32; 16]) -> ([i32; 16], [i32; 16]) {
        (x.map(|x| x & 15), x.map(|x| x >> 4))
    }
    #[inline(always)]
    unsafe fn spread(from: *const u8) -> [i32; 16] {
        // SAFETY: `from` is valid for reads of 8 bytes (contract of `Isa`).
        let bytes = unsafe { from.cast::<[u8; 8]>().read_unaligned() };
        from_fn(|i| i32::from(bytes[i % 8] >> (i / 8 * 4) & 15))
    }
    #[inline(always)]
    unsafe fn with_upper<const FROM: u32>(x: [i32; 16], upper: [i32; 16]) -> [i32; 16] {
        from_fn(|i| x[i] | (upper[i] >> FROM & 3) << 4)
    }
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "an error of one in 2^24")]
    unsafe fn to_floats(x: [i32; 16]) -> [f32; 16] {
        x.map(|x| x as f32)
    }
    #[inline(always)]
    unsafe fn quad(from: *const u8) -> [u8; 64] {
        // SAFETY: `from` is valid for reads of 64 bytes (contract of `Isa`).
        unsafe { from.cast::<[u8; 64]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn put_quad(to: *mut u8, x: [u8; 64]) {
        // SAFETY: `to` is valid for writes of 64 bytes (contract of `Isa`).
        unsafe { to.cast::<[u8; 64]>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn right<const N: i32>(x: [u8; 64]) -> [u8; 64] {
        x.map(|x| x >> N)
    }
    #[inline(always)]
    unsafe fn left<const N: i32>(x: [u8; 64]) -> [u8; 64] {
        x.map(|x| x << N)
    }
    #[inline(always)]
    unsafe fn and(x: [u8; 64], mask: u8) -> [u8; 64] {
        x.map(|x| x & mask)
    }
    #[inline(always)]
    unsafe fn or(a: [u8; 64], b: [u8; 64]) -> [u8; 64] {
        from_fn(|i| a[i] | b[i])
    }

    #[inline(always)]
    unsafe fn write_quad(to: *mut u8, columns: [[f32; 16]; 4]) {
        // SAFETY: `to` is valid for writes of 64 bytes, and numbers are from 0 to 255 (contract of
        // `Isa`).
        unsafe {
            let columns = columns.map(|column| Self::round(column));
            let code = |c: usize, r: usize| columns[c][r].to_int_unchecked::<i32>() as u8;
            let rows: [[u8; 4]; 16] = from_fn(|row| from_fn(|column| code(column, row)));
            to.cast::<[[u8; 4]; 16]>().write_unaligned(rows);
        }
    }
    #[inline(always)]
    unsafe fn columns(x: [u8; 64]) -> [[i32; 16]; 4] {
        from_fn(|column| from_fn(|row| i32::from(x[4 * row + column])))
    }

    #[inline(always)]
    unsafe fn no_sums() -> [i32; 16] {
        [0; 16]
    }
    #[inline(always)]
    unsafe fn dot(sums: [i32; 16], codes: [u8; 64], x: *const i8) -> [i32; 16] {
        // SAFETY: `x` is valid for reads of 4 bytes (contract of `Isa`).
        let x = unsafe { x.cast::<[i8; 4]>().read_unaligned() }.map(i32::from);
        from_fn(|i| (0..4).fold(sums[i], |sum, j| sum + i32::from(codes[4 * i + j]) * x[j]))
    }
    #[inline(always)]
    unsafe fn dot_bytes(sums: [i32; 16], codes: [u8; 64], x: *const i8) -> [i32; 16] {
        // SAFETY: `x` is valid for reads of 4 bytes (contract of `Isa`).
        unsafe { Self::dot(sums, codes, x) }
    }
    #[inline(always)]
    unsafe fn settle(sums: [i32; 16]) -> [i32; 16] {
        sums
    }
    #[inline(always)]
    unsafe fn total(sums: [i32; 16]) -> [f32; 16] {
        // SAFETY: this portable code needs no instructions of a set, and touches no memory.
        unsafe { Self::to_floats(sums) }
    }
}
