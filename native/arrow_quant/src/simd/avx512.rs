//! AVX-512 with VNNI: one register for sixteen rows.

use super::turn::sixteen;
use super::{Isa, Job};
#[allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their instruction set in their name"
)]
use std::arch::x86_64::*;

/// Sixteen lanes with AVX-512.
pub(crate) struct Avx512;

/// Run a job with AVX-512 F, BW and VNNI.
///
/// # Safety
///
/// The machine must have what is enabled here.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn run<J: Job>(job: J) -> J::Output {
    // SAFETY: the machine has what is enabled here (this function's contract), all that the lanes
    // need.
    unsafe { job.run::<Avx512>() }
}

// SAFETY: the methods use AVX-512 F, BW and VNNI and what these imply, which are the set; loads and
// stores allow any alignment, and are of the bytes that `Isa` names.
unsafe impl Isa for Avx512 {
    type Floats = __m512;
    type Ints = __m512i;
    type Quad = __m512i;
    type Sums = __m512i;

    const CENTER: f32 = 0.0;
    const TILE: usize = 8;
    const WIDE: usize = 2;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `from` is valid for reads of 16
        // floats (contract of `Isa`).
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m512) {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `to` is valid for writes of 16 floats
        // (contract of `Isa`).
        unsafe {
            _mm512_storeu_ps(to, x);
        }
    }
    #[inline(always)]
    unsafe fn halves(from: *const u8) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `from` is valid for reads of 32 bytes
        // (contract of `Isa`).
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn less(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x) }
    }

    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize) -> [__m512; 16] {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `from` is valid for reads of 16
        // floats in each of 16 rows, `stride` apart (contract of `Isa`).
        unsafe { sixteen(from, stride) }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `from` is valid for reads of 16 bytes
        // (contract of `Isa`).
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())) }
    }
    #[inline(always)]
    unsafe fn nibbles(x: __m512i) -> (__m512i, __m512i) {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { (_mm512_and_si512(x, _mm512_set1_epi32(15)), _mm512_srli_epi32::<4>(x)) }
    }
    #[inline(always)]
    unsafe fn spread(from: *const u8) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `from` is valid for reads of 8 bytes
        // (contract of `Isa`).
        unsafe {
            let low = _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast()));
            let high = _mm256_srli_epi32::<4>(low);
            let low = _mm256_and_si256(low, _mm256_set1_epi32(15));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        }
    }
    #[inline(always)]
    unsafe fn with_upper<const FROM: u32>(x: __m512i, upper: __m512i) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe {
            let bits = _mm512_and_si512(upper, _mm512_set1_epi32(3 << FROM));
            // The bits to set are 4 and 5, and `FROM` is constant.
            let shift = _mm_cvtsi32_si128(4 - FROM.cast_signed());
            _mm512_or_si512(x, _mm512_sll_epi32(bits, shift))
        }
    }
    #[inline(always)]
    unsafe fn to_floats(x: __m512i) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_cvtepi32_ps(x) }
    }
    #[inline(always)]
    unsafe fn write_bytes(to: *mut i8, x: __m512) {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `to` is valid for writes of 16 bytes
        // (contract of `Isa`).
        unsafe {
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
        }
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const u8) {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`), and a prefetch faults
        // at no address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
        }
    }

    #[inline(always)]
    unsafe fn quad(from: *const u8) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `from` is valid for reads of 64 bytes
        // (contract of `Isa`).
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn put_quad(to: *mut u8, x: __m512i) {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `to` is valid for writes of 64 bytes
        // (contract of `Isa`).
        unsafe {
            _mm512_storeu_si512(to.cast(), x);
        }
    }
    #[inline(always)]
    unsafe fn right<const N: i32>(x: __m512i) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_srl_epi16(x, _mm_cvtsi32_si128(N)) }
    }
    #[inline(always)]
    unsafe fn left<const N: i32>(x: __m512i) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_sll_epi16(x, _mm_cvtsi32_si128(N)) }
    }
    #[inline(always)]
    unsafe fn and(x: __m512i, mask: u8) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_and_si512(x, _mm512_set1_epi8(mask.cast_signed())) }
    }
    #[inline(always)]
    unsafe fn or(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn write_quad(to: *mut u8, columns: [__m512; 4]) {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `to` is valid for writes of 64 bytes
        // (contract of `Isa`).
        unsafe {
            let [a, b, c, d] = columns;
            let low = _mm512_slli_epi32::<8>(_mm512_cvtps_epi32(b));
            let low = _mm512_or_si512(_mm512_cvtps_epi32(a), low);
            let high = _mm512_slli_epi32::<8>(_mm512_cvtps_epi32(d));
            let high = _mm512_or_si512(_mm512_cvtps_epi32(c), high);
            let all = _mm512_or_si512(low, _mm512_slli_epi32::<16>(high));
            _mm512_storeu_si512(to.cast(), all);
        }
    }
    #[inline(always)]
    unsafe fn columns(x: __m512i) -> [__m512i; 4] {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe {
            let mask = _mm512_set1_epi32(255);
            [
                _mm512_and_si512(x, mask),
                _mm512_and_si512(_mm512_srli_epi32::<8>(x), mask),
                _mm512_and_si512(_mm512_srli_epi32::<16>(x), mask),
                _mm512_srli_epi32::<24>(x),
            ]
        }
    }

    #[inline(always)]
    unsafe fn no_sums() -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn dot(sums: __m512i, codes: __m512i, x: *const i8) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `x` is valid for reads of 4 bytes
        // (contract of `Isa`).
        unsafe {
            let x = _mm512_set1_epi32(x.cast::<i32>().read_unaligned());
            _mm512_dpbusd_epi32(sums, codes, x)
        }
    }
    #[inline(always)]
    unsafe fn dot_bytes(sums: __m512i, codes: __m512i, x: *const i8) -> __m512i {
        // SAFETY: the machine has AVX-512 F, BW and VNNI, and `x` is valid for reads of 4 bytes
        // (contract of `Isa`).
        unsafe { Self::dot(sums, codes, x) }
    }
    #[inline(always)]
    unsafe fn settle(sums: __m512i) -> __m512i {
        sums
    }
    #[inline(always)]
    unsafe fn total(sums: __m512i) -> __m512 {
        // SAFETY: the machine has AVX-512 F, BW and VNNI (contract of `Isa`).
        unsafe { _mm512_cvtepi32_ps(sums) }
    }
}
