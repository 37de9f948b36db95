//! AVX2: two registers for sixteen rows.

use super::turn::eight;
use super::{Isa, Job, dots};
#[allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their instruction set in their name"
)]
use std::arch::x86_64::*;

/// Sixteen lanes with AVX2, FMA and F16C, and with AVX-VNNI or without.
pub(crate) struct Avx2<const VNNI: bool>;

/// Run a job with AVX2, FMA and F16C.
///
/// # Safety
///
/// The machine must have what is enabled here.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run<J: Job>(job: J) -> J::Output {
    // SAFETY: the machine has what is enabled here (this function's contract), all that the lanes
    // need.
    unsafe { job.run::<Avx2<false>>() }
}

/// Run a job with AVX-VNNI too.
///
/// # Safety
///
/// The machine must have what is enabled here.
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(super) unsafe fn run_vnni<J: Job>(job: J) -> J::Output {
    // SAFETY: the machine has what is enabled here (this function's contract), all that the lanes
    // need.
    unsafe { job.run::<Avx2<true>>() }
}

macro_rules! both {
    ($name:ident, $intrinsic:ident, $v:ty) => {
        #[inline(always)]
        unsafe fn $name(a: [$v; 2], b: [$v; 2]) -> [$v; 2] {
            // SAFETY: the machine has AVX2 (contract of `Isa`); only registers are used.
            unsafe { [$intrinsic(a[0], b[0]), $intrinsic(a[1], b[1])] }
        }
    };
}

// SAFETY: the methods use AVX2, FMA, F16C and, where `VNNI` is true, AVX-VNNI, which are the set;
// loads and stores allow any alignment, and are of the bytes that `Isa` names.
unsafe impl<const VNNI: bool> Isa for Avx2<VNNI> {
    type Floats = [__m256; 2];
    type Ints = [__m256i; 2];
    type Quad = [__m256i; 2];
    type Sums = dots::Sums;

    const CENTER: f32 = if VNNI { 0.0 } else { 128.0 };
    const SETTLES: bool = !VNNI;

    both!(add, _mm256_add_ps, __m256);
    both!(sub, _mm256_sub_ps, __m256);
    both!(mul, _mm256_mul_ps, __m256);
    both!(div, _mm256_div_ps, __m256);
    both!(min, _mm256_min_ps, __m256);
    both!(max, _mm256_max_ps, __m256);
    both!(or, _mm256_or_si256, __m256i);

    #[inline(always)]
    unsafe fn splat(x: f32) -> [__m256; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [__m256; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of 16 floats
        // (contract of `Isa`).
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: [__m256; 2]) {
        // SAFETY: the machine has AVX2, FMA and F16C, and `to` is valid for writes of 16 floats
        // (contract of `Isa`).
        unsafe {
            _mm256_storeu_ps(to, x[0]);
            _mm256_storeu_ps(to.add(8), x[1]);
        }
    }
    #[inline(always)]
    unsafe fn halves(from: *const u8) -> [__m256; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of 32 bytes
        // (contract of `Isa`).
        unsafe {
            let [a, b] = [_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(16).cast())];
            [_mm256_cvtph_ps(a), _mm256_cvtph_ps(b)]
        }
    }
    #[inline(always)]
    unsafe fn fma(a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    unsafe fn less(a: [__m256; 2], b: [__m256; 2], x: [__m256; 2], y: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe {
            let first = _mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0]);
            let second = _mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1]);
            [_mm256_blendv_ps(y[0], x[0], first), _mm256_blendv_ps(y[1], x[1], second)]
        }
    }

    #[inline(always)]
    unsafe fn turn(from: *const f32, stride: usize) -> [[__m256; 2]; 16] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        let mut columns = [[unsafe { _mm256_setzero_ps() }; 2]; 16];
        for half in 0..2 {
            for first in [0, 8] {
                // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of 16
                // floats in each of 16 rows, `stride` apart (contract of `Isa`).
                let square = unsafe { eight(from.add(8 * half * stride + first), stride) };
                for (column, x) in columns[first..].iter_mut().zip(square) {
                    column[half] = x;
                }
            }
        }
        columns
    }

    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> [__m256i; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of 16 bytes
        // (contract of `Isa`).
        unsafe {
            let bytes = _mm_loadu_si128(from.cast());
            [_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes))]
        }
    }
    #[inline(always)]
    unsafe fn nibbles(x: [__m256i; 2]) -> ([__m256i; 2], [__m256i; 2]) {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe {
            let mask = _mm256_set1_epi32(15);
            let low = [_mm256_and_si256(x[0], mask), _mm256_and_si256(x[1], mask)];
            (low, [_mm256_srli_epi32::<4>(x[0]), _mm256_srli_epi32::<4>(x[1])])
        }
    }
    #[inline(always)]
    unsafe fn spread(from: *const u8) -> [__m256i; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of 8 bytes
        // (contract of `Isa`).
        unsafe {
            let bytes = _mm_loadl_epi64(from.cast());
            let (low, high) = (_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(15));
            [_mm256_and_si256(low, high), _mm256_srli_epi32::<4>(low)]
        }
    }
    #[inline(always)]
    unsafe fn with_upper<const FROM: u32>(x: [__m256i; 2], upper: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe {
            let mask = _mm256_set1_epi32(3 << FROM);
            // The bits to set are 4 and 5, and `FROM` is constant.
            let shift = _mm_cvtsi32_si128(4 - FROM.cast_signed());
            let first = _mm256_sll_epi32(_mm256_and_si256(upper[0], mask), shift);
            let second = _mm256_sll_epi32(_mm256_and_si256(upper[1], mask), shift);
            [_mm256_or_si256(x[0], first), _mm256_or_si256(x[1], second)]
        }
    }
    #[inline(always)]
    unsafe fn to_floats(x: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe { [_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])] }
    }
    #[inline(always)]
    unsafe fn write_bytes(to: *mut i8, x: [__m256; 2]) {
        // SAFETY: the machine has AVX2, FMA and F16C, and `to` is valid for writes of 16 bytes
        // (contract of `Isa`).
        unsafe {
            let [a, b] = [_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1])];
            // Both pack within halves of registers: rows 0 to 3, 8 to 11, 4 to 7, 12 to 15.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(a, b));
            let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.cast(), _mm_packs_epi16(low, high));
        }
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const u8) {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`), and a prefetch faults at
        // no address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
        }
    }

    #[inline(always)]
    unsafe fn quad(from: *const u8) -> [__m256i; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C, and `from` is valid for reads of 64 bytes
        // (contract of `Isa`).
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())] }
    }
    #[inline(always)]
    unsafe fn put_quad(to: *mut u8, x: [__m256i; 2]) {
        // SAFETY: the machine has AVX2, FMA and F16C, and `to` is valid for writes of 64 bytes
        // (contract of `Isa`).
        unsafe {
            _mm256_storeu_si256(to.cast(), x[0]);
            _mm256_storeu_si256(to.add(32).cast(), x[1]);
        }
    }
    #[inline(always)]
    unsafe fn right<const N: i32>(x: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe { [_mm256_srli_epi16::<N>(x[0]), _mm256_srli_epi16::<N>(x[1])] }
    }
    #[inline(always)]
    unsafe fn left<const N: i32>(x: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe { [_mm256_slli_epi16::<N>(x[0]), _mm256_slli_epi16::<N>(x[1])] }
    }
    #[inline(always)]
    unsafe fn and(x: [__m256i; 2], mask: u8) -> [__m256i; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe {
            let mask = _mm256_set1_epi8(mask.cast_signed());
            [_mm256_and_si256(x[0], mask), _mm256_and_si256(x[1], mask)]
        }
    }

    #[inline(always)]
    unsafe fn write_quad(to: *mut u8, columns: [[__m256; 2]; 4]) {
        // SAFETY: the machine has AVX2, FMA and F16C, and `to` is valid for writes of 64 bytes
        // (contract of `Isa`).
        unsafe {
            let [a, b, c, d] = columns;
            for half in 0..2 {
                let low = _mm256_slli_epi32::<8>(_mm256_cvtps_epi32(b[half]));
                let low = _mm256_or_si256(_mm256_cvtps_epi32(a[half]), low);
                let high = _mm256_slli_epi32::<8>(_mm256_cvtps_epi32(d[half]));
                let high = _mm256_or_si256(_mm256_cvtps_epi32(c[half]), high);
                let all = _mm256_or_si256(low, _mm256_slli_epi32::<16>(high));
                _mm256_storeu_si256(to.add(32 * half).cast(), all);
            }
        }
    }
    #[inline(always)]
    unsafe fn columns(x: [__m256i; 2]) -> [[__m256i; 2]; 4] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe {
            let mask = _mm256_set1_epi32(255);
            let [a, b] = x;
            let second = [_mm256_srli_epi32::<8>(a), _mm256_srli_epi32::<8>(b)];
            let third = [_mm256_srli_epi32::<16>(a), _mm256_srli_epi32::<16>(b)];
            [
                [_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)],
                [_mm256_and_si256(second[0], mask), _mm256_and_si256(second[1], mask)],
                [_mm256_and_si256(third[0], mask), _mm256_and_si256(third[1], mask)],
                [_mm256_srli_epi32::<24>(a), _mm256_srli_epi32::<24>(b)],
            ]
        }
    }

    #[inline(always)]
    unsafe fn no_sums() -> Self::Sums {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe { ([_mm256_setzero_si256(); 2], [_mm256_setzero_si256(); 2]) }
    }
    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, codes: [__m256i; 2], x: *const i8) -> Self::Sums {
        // SAFETY: the machine has AVX2, FMA and F16C, and `x` is valid for reads of 4 bytes
        // (contract of `Isa`).
        unsafe { if VNNI { dots::vnni(sums, codes, x) } else { dots::pairs(sums, codes, x) } }
    }
    #[inline(always)]
    unsafe fn dot_bytes(sums: Self::Sums, codes: [__m256i; 2], x: *const i8) -> Self::Sums {
        // SAFETY: the machine has AVX2, FMA and F16C, and `x` is valid for reads of 4 bytes
        // (contract of `Isa`).
        unsafe { if VNNI { dots::vnni(sums, codes, x) } else { dots::signed(sums, codes, x) } }
    }
    #[inline(always)]
    unsafe fn settle(sums: Self::Sums) -> Self::Sums {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe { if VNNI { sums } else { dots::settle(sums) } }
    }
    #[inline(always)]
    unsafe fn total((ints, _): Self::Sums) -> [__m256; 2] {
        // SAFETY: the machine has AVX2, FMA and F16C (contract of `Isa`).
        unsafe { Self::to_floats(ints) }
    }
}
