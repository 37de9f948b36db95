//! NEON: four registers for sixteen rows.

use super::Isa;
use half::f16;
#[allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their instruction set in their name"
)]
use std::arch::aarch64::*;
use std::array::from_fn;

/// Sixteen lanes with what 64-bit ARM always has.
pub(crate) struct Neon;

// SAFETY: the methods use NEON, which every 64-bit ARM has; loads and stores allow any alignment,
// and are of the bytes that `Isa` names.
unsafe impl Isa for Neon {
    type Floats = [float32x4_t; 4];
    type Ints = [int32x4_t; 4];
    type Quad = [uint8x16_t; 4];
    type Sums = [int32x4_t; 4];

    /// Codes of 8 bits are made signed, as the multiplication is.
    const CENTER: f32 = 128.0;

    #[inline(always)]
    unsafe fn splat(x: f32) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { [vdupq_n_f32(x); 4] }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of 16 floats (contract
        // of `Isa`).
        unsafe { from_fn(|i| vld1q_f32(from.add(4 * i))) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: [float32x4_t; 4]) {
        // SAFETY: every 64-bit ARM has NEON, and `to` is valid for writes of 16 floats (contract of
        // `Isa`).
        unsafe {
            for (i, x) in x.into_iter().enumerate() {
                vst1q_f32(to.add(4 * i), x);
            }
        }
    }
    #[inline(always)]
    unsafe fn halves(from: *const u8) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of 32 bytes (contract of
        // `Isa`).
        unsafe {
            let halves = from.cast::<[[u8; 2]; 16]>().read_unaligned();
            Self::load(halves.map(|bytes| f16::from_le_bytes(bytes).to_f32()).as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn add(a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vaddq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn sub(a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vsubq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn mul(a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vmulq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn div(a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vdivq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn fma(
        a: [float32x4_t; 4],
        b: [float32x4_t; 4],
        c: [float32x4_t; 4],
    ) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vfmaq_f32(c[i], a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn min(a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vminq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn max(a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vmaxq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    unsafe fn less(
        a: [float32x4_t; 4],
        b: [float32x4_t; 4],
        x: [float32x4_t; 4],
        y: [float32x4_t; 4],
    ) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vbslq_f32(vcltq_f32(a[i], b[i]), x[i], y[i])) }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> [int32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of 16 bytes (contract of
        // `Isa`).
        unsafe {
            let ints = from.cast::<[u8; 16]>().read_unaligned().map(i32::from);
            from_fn(|i| vld1q_s32(ints.as_ptr().add(4 * i)))
        }
    }
    #[inline(always)]
    unsafe fn nibbles(x: [int32x4_t; 4]) -> ([int32x4_t; 4], [int32x4_t; 4]) {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe {
            let low = from_fn(|i| vandq_s32(x[i], vdupq_n_s32(15)));
            (low, from_fn(|i| vshrq_n_s32::<4>(x[i])))
        }
    }
    #[inline(always)]
    unsafe fn spread(from: *const u8) -> [int32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of 8 bytes (contract of
        // `Isa`).
        unsafe {
            let bytes = from.cast::<[u8; 8]>().read_unaligned();
            let ints: [i32; 16] = from_fn(|i| i32::from(bytes[i % 8] >> (i / 8 * 4) & 15));
            from_fn(|i| vld1q_s32(ints.as_ptr().add(4 * i)))
        }
    }
    #[inline(always)]
    unsafe fn with_upper<const FROM: u32>(
        x: [int32x4_t; 4],
        upper: [int32x4_t; 4],
    ) -> [int32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe {
            let (mask, shift) = (vdupq_n_s32(3 << FROM), vdupq_n_s32(4 - FROM.cast_signed()));
            from_fn(|i| vorrq_s32(x[i], vshlq_s32(vandq_s32(upper[i], mask), shift)))
        }
    }
    #[inline(always)]
    unsafe fn to_floats(x: [int32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vcvtq_f32_s32(x[i])) }
    }
    #[inline(always)]
    unsafe fn quad(from: *const u8) -> [uint8x16_t; 4] {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of 64 bytes (contract of
        // `Isa`).
        unsafe { from_fn(|i| vld1q_u8(from.add(16 * i))) }
    }
    #[inline(always)]
    unsafe fn put_quad(to: *mut u8, x: [uint8x16_t; 4]) {
        // SAFETY: every 64-bit ARM has NEON, and `to` is valid for writes of 64 bytes (contract of
        // `Isa`).
        unsafe {
            for (i, x) in x.into_iter().enumerate() {
                vst1q_u8(to.add(16 * i), x);
            }
        }
    }
    #[inline(always)]
    unsafe fn right<const N: i32>(x: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vshrq_n_u8::<N>(x[i])) }
    }
    #[inline(always)]
    unsafe fn left<const N: i32>(x: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vshlq_n_u8::<N>(x[i])) }
    }
    #[inline(always)]
    unsafe fn and(x: [uint8x16_t; 4], mask: u8) -> [uint8x16_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vandq_u8(x[i], vdupq_n_u8(mask))) }
    }
    #[inline(always)]
    unsafe fn or(a: [uint8x16_t; 4], b: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { from_fn(|i| vorrq_u8(a[i], b[i])) }
    }

    #[inline(always)]
    unsafe fn write_quad(to: *mut u8, columns: [[float32x4_t; 4]; 4]) {
        // SAFETY: every 64-bit ARM has NEON, and `to` is valid for writes of 64 bytes (contract of
        // `Isa`).
        unsafe {
            for i in 0..4 {
                let [a, b, c, d] = columns.map(|column| vcvtnq_s32_f32(column[i]));
                let low = vorrq_s32(a, vshlq_n_s32::<8>(b));
                let high = vorrq_s32(c, vshlq_n_s32::<8>(d));
                let all = vorrq_s32(low, vshlq_n_s32::<16>(high));
                vst1q_u8(to.add(16 * i), vreinterpretq_u8_s32(all));
            }
        }
    }
    #[inline(always)]
    unsafe fn columns(x: [uint8x16_t; 4]) -> [[int32x4_t; 4]; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe {
            let mask = vdupq_n_s32(255);
            let x: [int32x4_t; 4] = from_fn(|i| vreinterpretq_s32_u8(x[i]));
            [
                from_fn(|i| vandq_s32(x[i], mask)),
                from_fn(|i| vandq_s32(vshrq_n_s32::<8>(x[i]), mask)),
                from_fn(|i| vandq_s32(vshrq_n_s32::<16>(x[i]), mask)),
                from_fn(|i| vandq_s32(vshrq_n_s32::<24>(x[i]), mask)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn no_sums() -> [int32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { [vdupq_n_s32(0); 4] }
    }
    #[inline(always)]
    unsafe fn dot(sums: [int32x4_t; 4], codes: [uint8x16_t; 4], x: *const i8) -> [int32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON, and `x` is valid for reads of 4 bytes (contract of
        // `Isa`).
        unsafe {
            let x = vreinterpretq_s8_s32(vdupq_n_s32(x.cast::<i32>().read_unaligned()));
            from_fn(|i| {
                let codes = vreinterpretq_s8_u8(codes[i]);
                let first = vmull_s8(vget_low_s8(codes), vget_low_s8(x));
                let second = vmull_high_s8(codes, x);
                vpadalq_s16(sums[i], vpaddq_s16(first, second))
            })
        }
    }
    #[inline(always)]
    unsafe fn dot_bytes(
        sums: [int32x4_t; 4],
        codes: [uint8x16_t; 4],
        x: *const i8,
    ) -> [int32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON, and `x` is valid for reads of 4 bytes (contract of
        // `Isa`).
        unsafe { Self::dot(sums, from_fn(|i| veorq_u8(codes[i], vdupq_n_u8(128))), x) }
    }
    #[inline(always)]
    unsafe fn settle(sums: [int32x4_t; 4]) -> [int32x4_t; 4] {
        sums
    }
    #[inline(always)]
    unsafe fn total(sums: [int32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { Self::to_floats(sums) }
    }
}
