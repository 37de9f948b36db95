//! The vectors of AVX2 and AVX-512.

use super::simd::Simd;
use half::{bf16, f16};
#[allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their instruction set in their name"
)]
use std::arch::x86_64::*;

/// Eight lanes with AVX2, FMA and F16C.
pub struct Avx2;

/// Sixteen lanes with AVX-512.
pub struct Avx512;

macro_rules! arithmetic {
    ($v:ty, $lanes:literal, $zero:ident, $fma:ident, $add:ident, $sub:ident,
     $load:ident, $store:ident, $splat:ident) => {
        type V = $v;
        const LANES: usize = $lanes;
        #[inline(always)]
        unsafe fn zero() -> $v {
            // SAFETY: the machine has the set (contract of `Simd`).
            unsafe { $zero() }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> $v {
            // SAFETY: the machine has the set (contract of `Simd`).
            unsafe { $splat(x) }
        }
        #[inline(always)]
        unsafe fn fma(a: $v, b: $v, c: $v) -> $v {
            // SAFETY: the machine has the set (contract of `Simd`).
            unsafe { $fma(a, b, c) }
        }
        #[inline(always)]
        unsafe fn add(a: $v, b: $v) -> $v {
            // SAFETY: the machine has the set (contract of `Simd`).
            unsafe { $add(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: $v, b: $v) -> $v {
            // SAFETY: the machine has the set (contract of `Simd`).
            unsafe { $sub(a, b) }
        }
        #[inline(always)]
        unsafe fn f32(from: *const f32) -> $v {
            // SAFETY: the machine has the set, and `from` is valid for reads of `LANES` values
            // (contract of `Simd`).
            unsafe { $load(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: $v) {
            // SAFETY: the machine has the set, and `to` is valid for writes of `LANES` values
            // (contract of `Simd`).
            unsafe { $store(to, v) };
        }
    };
}

// SAFETY: the methods use AVX2, FMA and F16C, which are the set; loads and stores allow any
// alignment, and are of eight values.
unsafe impl Simd for Avx2 {
    arithmetic!(
        __m256,
        8,
        _mm256_setzero_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps
    );
    #[inline(always)]
    unsafe fn sum(v: __m256) -> f32 {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Simd`).
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    unsafe fn f16(from: *const f16) -> __m256 {
        // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of `LANES`
        // values (contract of `Simd`).
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }
    #[inline(always)]
    unsafe fn bf16(from: *const bf16) -> __m256 {
        // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of `LANES`
        // values (contract of `Simd`).
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    unsafe fn i8(from: *const i8) -> __m256 {
        // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of `LANES`
        // values (contract of `Simd`).
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn signs(from: *const u8) -> __m256 {
        // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of `LANES` bits
        // (contract of `Simd`).
        unsafe {
            let bits = _mm256_set1_epi32(i32::from(*from));
            let bits = _mm256_sllv_epi32(bits, _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24));
            let minus = _mm256_andnot_si256(bits, _mm256_set1_epi32(i32::MIN));
            _mm256_or_ps(_mm256_castsi256_ps(minus), _mm256_set1_ps(1.0))
        }
    }
}

// SAFETY: the methods use AVX-512 F and BW and what these imply, which are the set; loads and
// stores allow any alignment, and are of sixteen values.
unsafe impl Simd for Avx512 {
    arithmetic!(
        __m512,
        16,
        _mm512_setzero_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps
    );
    #[inline(always)]
    unsafe fn sum(v: __m512) -> f32 {
        // SAFETY: the machine has AVX-512 F and BW (contract of `Simd`).
        unsafe { _mm512_reduce_add_ps(v) }
    }
    #[inline(always)]
    unsafe fn f16(from: *const f16) -> __m512 {
        // SAFETY: the machine has AVX-512 F and BW, and `from` is valid for reads of `LANES` values
        // (contract of `Simd`).
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn bf16(from: *const bf16) -> __m512 {
        // SAFETY: the machine has AVX-512 F and BW, and `from` is valid for reads of `LANES` values
        // (contract of `Simd`).
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    unsafe fn i8(from: *const i8) -> __m512 {
        // SAFETY: the machine has AVX-512 F and BW, and `from` is valid for reads of `LANES` values
        // (contract of `Simd`).
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn signs(from: *const u8) -> __m512 {
        // SAFETY: the machine has AVX-512 F and BW, and `from` is valid for reads of `LANES` bits
        // (contract of `Simd`).
        unsafe {
            let mask = from.cast::<u16>().read_unaligned();
            _mm512_mask_blend_ps(mask, _mm512_set1_ps(-1.0), _mm512_set1_ps(1.0))
        }
    }
}
