//! Integer dot products of one vector with scattered rows of a padded table: a step of a graph walk.
//! Values are -127 to 127.

use super::Level;
use super::simd::prefetch;

/// Rows are padded with zeros to a multiple of this many values.
pub const PAD: usize = 64;

/// Writes, for each of `slots`, the dot product of `query` with that row of `table`.
///
/// `query` is as wide as a row, a multiple of [`PAD`], and every slot is in the table.
pub type Gather = fn(query: &[i8], table: &[i8], slots: &[u32], out: &mut [i32]);

/// The kernel of a level.
#[must_use]
pub fn gather(level: Level) -> Gather {
    by_level!(level, q, t, s, o)
}

/// Rows asked for ahead.
const AHEAD: usize = 8;

/// The rows of all slots in order, the memory of later ones asked for ahead.
#[inline(always)]
fn each(
    width: usize,
    table: &[i8],
    slots: &[u32],
    out: &mut [i32],
    mut dot: impl FnMut(&[i8]) -> i32,
) {
    let row = |slot: u32| &table[slot as usize * width..(slot as usize + 1) * width];
    for &slot in slots.iter().take(AHEAD) {
        prefetch::<0, _>(row(slot));
    }
    for (i, (&slot, out)) in slots.iter().zip(out).enumerate() {
        if let Some(&later) = slots.get(i + AHEAD) {
            prefetch::<0, _>(row(later));
        }
        *out = dot(row(slot));
    }
}

fn portable(query: &[i8], table: &[i8], slots: &[u32], out: &mut [i32]) {
    each(query.len(), table, slots, out, |row| super::int8::plain(query, row));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(query: &[i8], table: &[i8], slots: &[u32], out: &mut [i32]) {
    each(query.len(), table, slots, out, |row| super::int8::avx2_dot::<0>(query, row));
}

/// Four rows go together, so that what one of them waits for is hidden by the others.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn avx512(query: &[i8], table: &[i8], slots: &[u32], out: &mut [i32]) {
    use std::arch::x86_64::{
        _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi8, _mm512_setzero_si512,
        _mm512_xor_si512,
    };
    // As a signed byte -128, as an unsigned one 128: the bias of the rows.
    let minus = _mm512_set1_epi8(i8::MIN);
    let width = query.len();
    let row = |slot: u32| &table[slot as usize * width..(slot as usize + 1) * width];
    let query = query.as_chunks::<64>().0;
    let mut sums = [_mm512_setzero_si512(); 4];
    for q in query {
        // SAFETY: the array holds the 64 bytes read.
        let q = unsafe { _mm512_loadu_si512(q.as_ptr().cast()) };
        sums[0] = _mm512_dpbusd_epi32(sums[0], minus, q);
    }
    let bias = super::int8::avx512_sums(sums)[0];
    for &slot in slots.iter().take(AHEAD) {
        prefetch::<0, _>(row(slot));
    }
    for (g, (group, out)) in slots.chunks(4).zip(out.chunks_mut(4)).enumerate() {
        for &later in slots.iter().skip(g * 4 + AHEAD).take(4) {
            prefetch::<0, _>(row(later));
        }
        // A short group repeats its first row.
        let slot = |r| if r < group.len() { group[r] } else { group[0] };
        let rows = [row(slot(0)), row(slot(1)), row(slot(2)), row(slot(3))].map(<[i8]>::as_ptr);
        let mut sums = [_mm512_setzero_si512(); 4];
        for (i, q) in query.iter().enumerate() {
            // SAFETY: `q` is an array of the 64 bytes read; `row` cut each row to the `width` of
            // the query, of which chunk `i` of 64 exists.
            unsafe {
                let q = _mm512_loadu_si512(q.as_ptr().cast());
                for r in 0..4 {
                    let x = _mm512_loadu_si512(rows[r].add(i * 64).cast());
                    sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_xor_si512(x, minus), q);
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(super::int8::avx512_sums(sums)) {
            *out = sum - bias;
        }
    }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon(query: &[i8], table: &[i8], slots: &[u32], out: &mut [i32]) {
    each(query.len(), table, slots, out, |row| super::neon::dot(query, row));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_level_gives_the_same_integers(
            blocks in 1usize..4, slots in prop::collection::vec(0u32..9, 0..20),
            bytes in prop::collection::vec(-127i8..=127, 10 * 3 * 64),
        ) {
            let width = blocks * PAD;
            let (query, table) = bytes.split_at(width);
            let mut expected = vec![0; slots.len()];
            portable(query, table, &slots, &mut expected);
            for level in Level::available() {
                let mut out = vec![0; slots.len()];
                gather(level)(query, table, &slots, &mut out);
                prop_assert_eq!(&expected, &out, "{}", level.name());
            }
        }
    }
}
