//! Integer dot products of one int8 query with consecutive int8 rows; values are -127 to 127.

use super::Level;
#[cfg(target_arch = "x86_64")]
use super::simd::prefetch;

/// A query in the form that the kernels of every level read.
#[derive(Clone, Debug)]
pub struct Query {
    dim: usize,
    /// Padded with zeros to a whole number of 64-byte vectors.
    bytes: Vec<i8>,
    /// What a bias of 128 on every stored byte would add.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "VNNI alone adds it"))]
    bias: i32,
}

impl Query {
    /// Prepare the codes of a query.
    #[must_use]
    pub fn new(codes: &[i8]) -> Self {
        let mut bytes = codes.to_vec();
        bytes.resize(codes.len().next_multiple_of(64), 0);
        let bias = codes.iter().map(|&x| 128 * i32::from(x)).sum();
        Self { dim: codes.len(), bytes, bias }
    }
}

/// Writes the dot product of the query with each row; exact for dimensions below 2^16.
pub type Dots = fn(query: &Query, rows: &[i8], out: &mut [i32]);

/// The kernel of a level.
#[must_use]
pub fn dots(level: Level) -> Dots {
    by_level!(level, q, r, o)
}

/// The product in plain Rust, of as many values as both have.
pub(super) fn plain(query: &[i8], row: &[i8]) -> i32 {
    row.iter().zip(query).map(|(&x, &q)| i32::from(x) * i32::from(q)).sum()
}

fn portable(query: &Query, rows: &[i8], out: &mut [i32]) {
    for (row, out) in rows.chunks_exact(query.dim).zip(out) {
        *out = plain(&query.bytes, row);
    }
}

/// Every row: as many values as are whole vectors of `LANES` by `dot`, which is given the row from
/// its start, and what is left.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn each<const LANES: usize>(
    query: &Query,
    rows: &[i8],
    out: &mut [i32],
    dot: impl Fn(&[i8], &[i8]) -> i32,
) {
    let whole = query.dim / LANES * LANES;
    for (row, out) in rows.chunks_exact(query.dim).zip(out) {
        *out = dot(&query.bytes[..whole], row) + plain(&query.bytes[whole..], &row[whole..]);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(query: &Query, rows: &[i8], out: &mut [i32]) {
    each::<32>(query, rows, out, |query, row| avx2_dot::<1024>(query, row));
}

/// The product of a query and the start of a row, both a whole number of 32 values, asking for
/// memory `AHEAD` of the row; 0 asks for none.
///
/// `maddubs` multiplies unsigned by signed bytes, so the query's signs go to the row. Two products
/// of values up to 127 just fit into its 16 bits.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn avx2_dot<const AHEAD: usize>(query: &[i8], row: &[i8]) -> i32 {
    use std::arch::x86_64::{
        _mm_add_epi32, _mm_cvtsi128_si32, _mm_shuffle_epi32, _mm256_abs_epi8, _mm256_add_epi32,
        _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_sign_epi8,
    };
    let ones = _mm256_set1_epi16(1);
    let product = |q: &[i8], x: &[i8]| {
        // SAFETY: all calls below pass 32 bytes each: halves of 64, or a rest of at least 32.
        let (q, x) = unsafe {
            (_mm256_loadu_si256(q.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().cast()))
        };
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(x, q));
        _mm256_madd_epi16(pairs, ones)
    };
    let (lines, rest) = row[..query.len()].as_chunks::<64>();
    let mut sum = _mm256_setzero_si256();
    for (q, x) in query.as_chunks::<64>().0.iter().zip(lines) {
        if AHEAD > 0 {
            prefetch::<AHEAD, _>(x);
        }
        sum = _mm256_add_epi32(sum, product(&q[..32], &x[..32]));
        sum = _mm256_add_epi32(sum, product(&q[32..], &x[32..]));
    }
    if rest.len() >= 32 {
        sum = _mm256_add_epi32(sum, product(&query[lines.len() * 64..], rest));
    }
    let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b1110>(sum));
    _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32::<1>(sum)))
}

/// VNNI multiplies unsigned by signed, so rows are biased by 128 and the bias is taken off again.
/// Four rows are summed up together, but read one after another: a single stream is fastest (Zen 5:
/// 39 GB/s, and 31 where four rows are read in turns).
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn avx512(query: &Query, rows: &[i8], out: &mut [i32]) {
    use std::arch::x86_64::{
        _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_maskz_loadu_epi8, _mm512_set1_epi8,
        _mm512_setzero_si512, _mm512_xor_si512,
    };
    let bias = _mm512_set1_epi8(i8::MIN);
    for (rows, out) in rows.chunks(4 * query.dim).zip(out.chunks_mut(4)) {
        let mut sums = [_mm512_setzero_si512(); 4];
        for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(query.dim)) {
            prefetch::<6144, _>(row);
            for (q, x) in query.bytes.as_chunks::<64>().0.iter().zip(row.chunks(64)) {
                // SAFETY: the array holds the 64 bytes read, and the mask covers those of the row.
                let (q, x) = unsafe {
                    let q = _mm512_loadu_si512(q.as_ptr().cast());
                    (q, _mm512_maskz_loadu_epi8(u64::MAX >> (64 - x.len()), x.as_ptr()))
                };
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_xor_si512(x, bias), q);
            }
        }
        for (out, sum) in out.iter_mut().zip(avx512_sums(sums)).take(rows.len() / query.dim) {
            *out = sum - query.bias;
        }
    }
}

/// The sum of each of four registers, by turning them so that lanes become registers.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx2")]
pub(super) fn avx512_sums([a, b, c, d]: [std::arch::x86_64::__m512i; 4]) -> [i32; 4] {
    use std::arch::x86_64::{
        _mm_add_epi32, _mm_storeu_si128, _mm256_add_epi32, _mm256_castsi256_si128,
        _mm256_extracti128_si256, _mm512_add_epi32, _mm512_castsi512_si256,
        _mm512_extracti64x4_epi64, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
        _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    };
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let half = _mm512_extracti64x4_epi64::<1>(all);
    let half = _mm256_add_epi32(_mm512_castsi512_si256(all), half);
    let sums = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
    let mut out = [0; 4];
    // SAFETY: the array holds the 16 bytes written.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
    out
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon(query: &Query, rows: &[i8], out: &mut [i32]) {
    each::<16>(query, rows, out, |query, row| super::neon::dot(query, row));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_level_gives_the_same_integers(
            dim in 1usize..200, rows in 1usize..5, seed in any::<u64>(), extreme in any::<bool>(),
        ) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if extreme { -127 } else { (state.to_le_bytes()[7] as i8).max(-127) }
            };
            let query: Vec<i8> = (0..dim).map(|_| next()).collect();
            let values: Vec<i8> = (0..dim * rows).map(|_| next()).collect();
            let expected: Vec<i32> = values.chunks(dim)
                .map(|r| r.iter().zip(&query).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum())
                .collect();
            for level in Level::available() {
                let mut out = vec![0; rows];
                dots(level)(&Query::new(&query), &values, &mut out);
                prop_assert_eq!(&expected, &out, "{}", level.name());
            }
        }
    }
}
