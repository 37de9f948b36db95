//! Which rows may be returned.

use std::ops::Range;

/// One bit a row, bit `i % 64` of word `i / 64`; rows beyond the last word are not allowed.
#[derive(Clone, Copy, Debug)]
pub struct Bitmap<'a> {
    words: &'a [u64],
}

impl<'a> Bitmap<'a> {
    /// A view of packed bits.
    #[must_use]
    pub fn new(words: &'a [u64]) -> Self {
        Self { words }
    }

    /// Whether a row is allowed.
    #[must_use]
    pub fn contains(self, row: u32) -> bool {
        let row = row as usize;
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// How many of the first `rows` rows are allowed.
    #[must_use]
    pub fn count(self, rows: usize) -> usize {
        (0..rows.div_ceil(64)).map(|i| self.word(i, 0..rows).count_ones() as usize).sum()
    }

    /// The rows that are also in another bitmap.
    #[must_use]
    pub fn and(self, other: &[u64]) -> Vec<u64> {
        self.words.iter().zip(other).map(|(a, b)| a & b).collect()
    }

    /// The allowed rows of a range as runs of consecutive rows, in order.
    pub fn runs(self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let start = self.next(at, &range, false)?;
            let end = self.next(start, &range, true).unwrap_or(range.end);
            at = end;
            Some(start..end)
        })
    }

    /// The word with all bits outside the range cleared.
    fn word(self, index: usize, range: Range<usize>) -> u64 {
        let word = self.words.get(index).copied().unwrap_or(0);
        let first = index * 64;
        let below = range.start.saturating_sub(first).min(64);
        let above = (first + 64).saturating_sub(range.end).min(64);
        let keep_low = if below == 64 { 0 } else { u64::MAX << below };
        let keep_high = if above == 64 { 0 } else { u64::MAX >> above };
        word & keep_low & keep_high
    }

    /// The next row at or after `at` that is allowed, or with `gap` that is not.
    fn next(self, at: usize, range: &Range<usize>, gap: bool) -> Option<usize> {
        let mut index = at / 64;
        while index * 64 < range.end {
            let raw = self.words.get(index).copied().unwrap_or(0);
            let wanted = if gap { !raw } else { raw };
            let word =
                Bitmap { words: &[wanted] }.word(0, shift(at, index)..shift(range.end, index));
            if word != 0 {
                return Some(index * 64 + word.trailing_zeros() as usize);
            }
            index += 1;
        }
        None
    }
}

/// A row as an offset from the first row of a word.
fn shift(row: usize, word: usize) -> usize {
    row.saturating_sub(word * 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_and_count_agree_with_single_bits(
            words in prop::collection::vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 0..5),
            start in 0usize..300, length in 0usize..300,
        ) {
            let bitmap = Bitmap::new(&words);
            let range = start..start + length;
            let expected: Vec<usize> =
                range.clone().filter(|&row| bitmap.contains(u32::try_from(row).unwrap())).collect();
            let runs: Vec<_> = bitmap.runs(range).collect();
            prop_assert_eq!(&expected, &runs.iter().cloned().flatten().collect::<Vec<_>>());
            prop_assert!(runs.iter().all(|run| !run.is_empty()));
            let all = (0..length as u32).filter(|&row| bitmap.contains(row)).count();
            prop_assert_eq!(all, bitmap.count(length));
        }
    }
}
