//! Dot products of a 4-bit query with sign bits: weighted population counts of common bits.

use super::Level;

/// Bits a query value is quantized to.
pub const PLANES: usize = 4;

/// For each word of a row, one word of each bit plane of the query.
pub type Query = [[u64; PLANES]];

/// Writes, for each row, the sum of the query's 4-bit values where the row's bit is set.
pub type Sums = fn(query: &Query, rows: &[u64], out: &mut [u32]);

/// The kernel of a level.
#[must_use]
pub fn sums(level: Level) -> Sums {
    by_level!(level, q, r, o)
}

fn portable(query: &Query, rows: &[u64], out: &mut [u32]) {
    generic(query, rows, out);
}

#[inline(always)]
fn generic(query: &Query, rows: &[u64], out: &mut [u32]) {
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        let mut counts = [0u32; PLANES];
        for (planes, word) in query.iter().zip(row) {
            for (count, plane) in counts.iter_mut().zip(planes) {
                *count += (plane & word).count_ones();
            }
        }
        *out = weigh(counts);
    }
}

#[inline(always)]
fn weigh(counts: [u32; PLANES]) -> u32 {
    counts.iter().enumerate().map(|(plane, count)| count << plane).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn avx2(query: &Query, rows: &[u64], out: &mut [u32]) {
    generic(query, rows, out);
}

/// Four rows at a time, so that the sums of one wait while the others count.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,avx2,popcnt")]
fn avx512(query: &Query, rows: &[u64], out: &mut [u32]) {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_loadu_si256, _mm256_popcnt_epi64,
        _mm256_set1_epi64x, _mm256_setr_epi64x, _mm256_setzero_si256, _mm256_sllv_epi64,
        _mm256_storeu_si256, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
    };
    let width = query.len();
    let weights = _mm256_setr_epi64x(0, 1, 2, 3);
    let fours = rows.len() / width / 4;
    for (rows, out) in rows.chunks_exact(4 * width).zip(out.as_chunks_mut::<4>().0) {
        let mut counts: [__m256i; 4] = [_mm256_setzero_si256(); 4];
        for (w, planes) in query.iter().enumerate() {
            // SAFETY: the array holds the 32 bytes read.
            let planes = unsafe { _mm256_loadu_si256(planes.as_ptr().cast()) };
            for (r, count) in counts.iter_mut().enumerate() {
                let word = _mm256_set1_epi64x(rows[r * width + w].cast_signed());
                let common = _mm256_popcnt_epi64(_mm256_and_si256(word, planes));
                *count = _mm256_add_epi64(*count, common);
            }
        }
        let counts = counts.map(|count| _mm256_sllv_epi64(count, weights));
        for pair in 0..2 {
            let (a, b) = (counts[pair * 2], counts[pair * 2 + 1]);
            let both = _mm256_add_epi64(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
            let mut lanes = [0u64; 4];
            // SAFETY: the array holds the 32 bytes written.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), both) };
            #[expect(clippy::cast_possible_truncation, reason = "at most 15 times the dimension")]
            for half in 0..2 {
                out[pair * 2 + half] = (lanes[half] + lanes[half + 2]) as u32;
            }
        }
    }
    let done = out.len().min(fours * 4);
    generic(query, &rows[done * width..], &mut out[done..]);
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon(query: &Query, rows: &[u64], out: &mut [u32]) {
    use std::arch::aarch64::{
        vaddq_u64, vandq_u64, vcntq_u8, vdupq_n_u64, vgetq_lane_u64, vld1q_s64, vld1q_u64,
        vpaddlq_u8, vpaddlq_u16, vpaddlq_u32, vreinterpretq_u8_u64, vshlq_u64,
    };
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        let mut counts = [vdupq_n_u64(0); PLANES / 2];
        for (planes, &word) in query.iter().zip(row) {
            for (count, planes) in counts.iter_mut().zip(planes.as_chunks::<2>().0) {
                // SAFETY: the array holds the 16 bytes read.
                let planes = unsafe { vld1q_u64(planes.as_ptr()) };
                let common = vcntq_u8(vreinterpretq_u8_u64(vandq_u64(planes, vdupq_n_u64(word))));
                *count = vaddq_u64(*count, vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(common))));
            }
        }
        let [low, high] = counts;
        // SAFETY: the arrays hold the 16 bytes read.
        let weighed = unsafe {
            let low = vshlq_u64(low, vld1q_s64([0, 1].as_ptr()));
            vaddq_u64(low, vshlq_u64(high, vld1q_s64([2, 3].as_ptr())))
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 15 times the dimension")]
        let sum = (vgetq_lane_u64::<0>(weighed) + vgetq_lane_u64::<1>(weighed)) as u32;
        *out = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_level_counts_the_same(
            query in prop::collection::vec(any::<[u64; PLANES]>(), 1..12),
            words in prop::collection::vec(any::<u64>(), 36),
        ) {
            let rows = words.len() / query.len();
            let expected: Vec<u32> = words.chunks_exact(query.len()).map(|row| {
                let bit = |x: u64, i: u32| u32::try_from(x >> i & 1).unwrap();
                row.iter().zip(&query).map(|(&word, planes)| (0..64).map(|i| {
                    let value: u32 = (0..).zip(planes).map(|(p, &x)| bit(x, i) << p).sum();
                    bit(word, i) * value
                }).sum::<u32>()).sum()
            }).collect();
            for level in Level::available() {
                let mut out = vec![0; rows];
                sums(level)(&query, &words, &mut out);
                prop_assert_eq!(&expected, &out, "{}", level.name());
            }
        }
    }
}
