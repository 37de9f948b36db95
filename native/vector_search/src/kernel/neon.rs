//! NEON: what 64-bit ARM always has.

use super::simd::Simd;
use half::{bf16, f16};
#[allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their instruction set in their name"
)]
use std::arch::aarch64::*;

/// Eight lanes in two registers.
pub struct Neon;

/// Half precision as single: the exponent is moved by a product, which numbers too small for an
/// exponent survive, and infinities and NaN get theirs back.
///
/// # Safety
///
/// The machine must have NEON, as every 64-bit ARM has.
#[inline(always)]
unsafe fn widen(halves: uint16x4_t) -> float32x4_t {
    // SAFETY: every 64-bit ARM has NEON.
    unsafe {
        let bits = vmovl_u16(halves);
        let size = vandq_u32(bits, vdupq_n_u32(0x7fff));
        let moved = vreinterpretq_f32_u32(vshlq_n_u32::<13>(size));
        let value = vreinterpretq_u32_f32(vmulq_n_f32(moved, f32::from_bits((127 + 112) << 23)));
        let endless = vcgeq_u32(size, vdupq_n_u32(0x7c00));
        let value = vorrq_u32(value, vandq_u32(endless, vdupq_n_u32(0x7f80_0000)));
        let sign = vshlq_n_u32::<16>(vandq_u32(bits, vdupq_n_u32(0x8000)));
        vreinterpretq_f32_u32(vorrq_u32(value, sign))
    }
}

// SAFETY: the methods use NEON, which every 64-bit ARM has; loads and stores allow any alignment,
// and are of eight values.
unsafe impl Simd for Neon {
    type V = [float32x4_t; 2];
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn zero() -> Self::V {
        // SAFETY: every 64-bit ARM has NEON (contract of `Simd`).
        unsafe { [vdupq_n_f32(0.0); 2] }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        // SAFETY: every 64-bit ARM has NEON (contract of `Simd`).
        unsafe { [vdupq_n_f32(x); 2] }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: every 64-bit ARM has NEON (contract of `Simd`).
        unsafe { [vfmaq_f32(c[0], a[0], b[0]), vfmaq_f32(c[1], a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: every 64-bit ARM has NEON (contract of `Simd`).
        unsafe { [vaddq_f32(a[0], b[0]), vaddq_f32(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: every 64-bit ARM has NEON (contract of `Simd`).
        unsafe { [vsubq_f32(a[0], b[0]), vsubq_f32(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        // SAFETY: every 64-bit ARM has NEON (contract of `Simd`).
        unsafe { vaddvq_f32(vaddq_f32(v[0], v[1])) }
    }
    #[inline(always)]
    unsafe fn f32(from: *const f32) -> Self::V {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of `LANES` values
        // (contract of `Simd`).
        unsafe { [vld1q_f32(from), vld1q_f32(from.add(4))] }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: every 64-bit ARM has NEON, and `to` is valid for writes of `LANES` values
        // (contract of `Simd`).
        unsafe {
            vst1q_f32(to, v[0]);
            vst1q_f32(to.add(4), v[1]);
        }
    }
    #[inline(always)]
    unsafe fn f16(from: *const f16) -> Self::V {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of `LANES` values
        // (contract of `Simd`).
        unsafe {
            let halves = vld1q_u16(from.cast());
            [widen(vget_low_u16(halves)), widen(vget_high_u16(halves))]
        }
    }
    #[inline(always)]
    unsafe fn bf16(from: *const bf16) -> Self::V {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of `LANES` values
        // (contract of `Simd`).
        unsafe {
            let halves = vld1q_u16(from.cast());
            [vget_low_u16(halves), vget_high_u16(halves)]
                .map(|x| vreinterpretq_f32_u32(vshll_n_u16::<16>(x)))
        }
    }
    #[inline(always)]
    unsafe fn i8(from: *const i8) -> Self::V {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of `LANES` values
        // (contract of `Simd`).
        unsafe {
            let words = vmovl_s8(vld1_s8(from));
            [vget_low_s16(words), vget_high_s16(words)].map(|x| vcvtq_f32_s32(vmovl_s16(x)))
        }
    }
    #[inline(always)]
    unsafe fn signs(from: *const u8) -> Self::V {
        // SAFETY: every 64-bit ARM has NEON, and `from` is valid for reads of `LANES` bits
        // (contract of `Simd`).
        unsafe {
            let bits = vdupq_n_u32(u32::from(*from));
            let one = vdupq_n_f32(1.0);
            [[1, 2, 4, 8], [16, 32, 64, 128]].map(|places: [u32; 4]| {
                let set = vtstq_u32(bits, vld1q_u32(places.as_ptr()));
                vbslq_f32(set, one, vnegq_f32(one))
            })
        }
    }
}

/// The dot product of small integers, up to the last multiple of 16.
///
/// Two products of values up to 127 just fit into 16 bits.
#[inline]
#[target_feature(enable = "neon")]
pub fn dot(query: &[i8], row: &[i8]) -> i32 {
    let mut sums = [vdupq_n_s32(0); 2];
    let (query, row) = (query.as_chunks::<16>().0, row.as_chunks::<16>().0);
    for (i, (q, x)) in query.iter().zip(row).enumerate() {
        // SAFETY: both arrays hold the 16 bytes read.
        let (q, x) = unsafe { (vld1q_s8(q.as_ptr()), vld1q_s8(x.as_ptr())) };
        let pairs = vmlal_high_s8(vmull_s8(vget_low_s8(q), vget_low_s8(x)), q, x);
        sums[i % 2] = vpadalq_s16(sums[i % 2], pairs);
    }
    vaddvq_s32(vaddq_s32(sums[0], sums[1]))
}
