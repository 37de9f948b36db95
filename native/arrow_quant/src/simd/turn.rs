//! Transposes of square blocks of floats.

#[allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their instruction set in their name"
)]
use std::arch::x86_64::*;

/// Transpose 8 x 8 floats whose rows are `stride` apart.
///
/// # Safety
///
/// The machine must have AVX2, and `from` be valid for reads of 8 floats in each of 8 rows.
#[inline(always)]
pub(super) unsafe fn eight(from: *const f32, stride: usize) -> [__m256; 8] {
    // SAFETY: the machine has AVX2, and reads are of 4 floats at columns 0 and 4 of rows 0 to 7,
    // for which `from` is valid: both are this function's contract.
    unsafe {
        // Four rows by two halves: of row i, columns 0 to 3 below, of row i + 4 above; then 4 to 7.
        let mut low = [_mm256_setzero_ps(); 4];
        let mut high = low;
        for i in 0..4 {
            let (above, below) = (from.add(i * stride), from.add((i + 4) * stride));
            let [a, b] = [_mm_loadu_ps(above), _mm_loadu_ps(above.add(4))];
            let [a, b] = [_mm256_castps128_ps256(a), _mm256_castps128_ps256(b)];
            low[i] = _mm256_insertf128_ps::<1>(a, _mm_loadu_ps(below));
            high[i] = _mm256_insertf128_ps::<1>(b, _mm_loadu_ps(below.add(4)));
        }
        let [a, b, c, d] = four(low);
        let [e, f, g, h] = four(high);
        [a, b, c, d, e, f, g, h]
    }
}

/// Transpose 4 x 4 floats in each half of the registers.
///
/// # Safety
///
/// The machine must have AVX2.
#[inline(always)]
unsafe fn four(rows: [__m256; 4]) -> [__m256; 4] {
    // SAFETY: the machine has AVX2 (this function's contract); only registers are used.
    unsafe {
        let [a, b] = [_mm256_unpacklo_ps(rows[0], rows[1]), _mm256_unpackhi_ps(rows[0], rows[1])];
        let [c, d] = [_mm256_unpacklo_ps(rows[2], rows[3]), _mm256_unpackhi_ps(rows[2], rows[3])];
        [
            _mm256_shuffle_ps::<0b01_00_01_00>(a, c),
            _mm256_shuffle_ps::<0b11_10_11_10>(a, c),
            _mm256_shuffle_ps::<0b01_00_01_00>(b, d),
            _mm256_shuffle_ps::<0b11_10_11_10>(b, d),
        ]
    }
}

/// Transpose 16 x 16 floats whose rows are `stride` apart.
///
/// # Safety
///
/// The machine must have AVX-512 F, and `from` be valid for reads of 16 floats in each of 16 rows.
#[inline(always)]
pub(super) unsafe fn sixteen(from: *const f32, stride: usize) -> [__m512; 16] {
    // SAFETY: the machine has AVX-512 F, and reads are of 4 floats at columns 0, 4, 8 and 12 of
    // rows 0 to 15, for which `from` is valid: both are this function's contract.
    unsafe {
        let mut columns = [_mm512_setzero_ps(); 16];
        for (c, columns) in columns.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            // In each quarter four columns of a row: of i, i + 4, i + 8 and i + 12.
            let mut rows = [_mm512_setzero_ps(); 4];
            for (i, row) in rows.iter_mut().enumerate() {
                let at = from.add(i * stride + 4 * c);
                let x = _mm512_castps128_ps512(_mm_loadu_ps(at));
                let x = _mm512_insertf32x4::<1>(x, _mm_loadu_ps(at.add(4 * stride)));
                let x = _mm512_insertf32x4::<2>(x, _mm_loadu_ps(at.add(8 * stride)));
                *row = _mm512_insertf32x4::<3>(x, _mm_loadu_ps(at.add(12 * stride)));
            }
            let [a, b, c, d] = rows;
            let [low, high] = [_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d)];
            columns[0] = _mm512_shuffle_ps::<0b01_00_01_00>(low, high);
            columns[1] = _mm512_shuffle_ps::<0b11_10_11_10>(low, high);
            let [low, high] = [_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d)];
            columns[2] = _mm512_shuffle_ps::<0b01_00_01_00>(low, high);
            columns[3] = _mm512_shuffle_ps::<0b11_10_11_10>(low, high);
        }
        columns
    }
}
