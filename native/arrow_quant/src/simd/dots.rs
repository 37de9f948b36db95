//! Integer products in registers of 256 bits, with AVX2 alone and with AVX-VNNI.

#[allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their instruction set in their name"
)]
use std::arch::x86_64::*;

/// Integers, and pairs of 16 bits on their way to them: eight quads of 15 * 127 * 2 are 30,480.
pub(super) type Sums = ([__m256i; 2], [__m256i; 2]);

/// Broadcast four bytes.
///
/// # Safety
///
/// The machine must have AVX2, and `x` be valid for reads of 4 bytes.
#[inline(always)]
unsafe fn broadcast(x: *const i8) -> __m256i {
    // SAFETY: the machine has AVX2, and `x` is valid for reads of 4 bytes: this function's
    // contract.
    unsafe { _mm256_set1_epi32(x.cast::<i32>().read_unaligned()) }
}

/// Accumulate the products of four codes a row with four activations.
///
/// # Safety
///
/// The machine must have AVX2 and AVX-VNNI, and `x` be valid for reads of 4 bytes.
#[inline(always)]
pub(super) unsafe fn vnni((ints, pairs): Sums, codes: [__m256i; 2], x: *const i8) -> Sums {
    // SAFETY: the machine has AVX2 and AVX-VNNI, and `x` is valid for reads of 4 bytes: this
    // function's contract.
    unsafe {
        let x = broadcast(x);
        let first = _mm256_dpbusd_avx_epi32(ints[0], codes[0], x);
        ([first, _mm256_dpbusd_avx_epi32(ints[1], codes[1], x)], pairs)
    }
}

/// Accumulate the products of codes of at most 4 bits in the pairs.
///
/// # Safety
///
/// The machine must have AVX2, and `x` be valid for reads of 4 bytes.
#[inline(always)]
pub(super) unsafe fn pairs((ints, pairs): Sums, codes: [__m256i; 2], x: *const i8) -> Sums {
    // SAFETY: the machine has AVX2, and `x` is valid for reads of 4 bytes: this function's
    // contract.
    unsafe {
        let x = broadcast(x);
        let first = _mm256_add_epi16(pairs[0], _mm256_maddubs_epi16(codes[0], x));
        (ints, [first, _mm256_add_epi16(pairs[1], _mm256_maddubs_epi16(codes[1], x))])
    }
}

/// Accumulate the products of codes less 128 in the integers; with unsigned codes the sum of two
/// products would saturate.
///
/// # Safety
///
/// The machine must have AVX2, and `x` be valid for reads of 4 bytes.
#[inline(always)]
pub(super) unsafe fn signed((ints, _): Sums, codes: [__m256i; 2], x: *const i8) -> Sums {
    // SAFETY: the machine has AVX2, and `x` is valid for reads of 4 bytes: this function's
    // contract.
    unsafe {
        let x = broadcast(x);
        let less = _mm256_set1_epi8(i8::MIN);
        let [a, b] = [_mm256_xor_si256(codes[0], less), _mm256_xor_si256(codes[1], less)];
        let first = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(x, a));
        let second = _mm256_maddubs_epi16(_mm256_abs_epi8(b), _mm256_sign_epi8(x, b));
        settle((ints, [first, second]))
    }
}

/// Accumulate the pairs in the integers, and clear them.
///
/// # Safety
///
/// The machine must have AVX2.
#[inline(always)]
pub(super) unsafe fn settle((ints, pairs): Sums) -> Sums {
    // SAFETY: the machine has AVX2 (this function's contract); only registers are used.
    unsafe {
        let one = _mm256_set1_epi16(1);
        let first = _mm256_add_epi32(ints[0], _mm256_madd_epi16(pairs[0], one));
        let second = _mm256_add_epi32(ints[1], _mm256_madd_epi16(pairs[1], one));
        ([first, second], [_mm256_setzero_si256(); 2])
    }
}
