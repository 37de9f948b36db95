//! The k nearest seen so far.

use std::collections::BinaryHeap;

/// One result of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The row it was found in.
    pub row: u32,
    /// Its distance from the query.
    pub distance: f32,
}

/// A distance and a row as one integer, in the order of results: by distance, then by row.
///
/// Negative zero counts as zero, so that the two tie.
#[must_use]
pub fn key(distance: f32, row: u32) -> u64 {
    let bits = (distance + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(row)
}

/// The inverse of [`key`].
#[must_use]
pub fn neighbor(key: u64) -> Neighbor {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the key")]
    let (ordered, row) = ((key >> 32) as u32, key as u32);
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    Neighbor { row, distance: f32::from_bits(bits) }
}

/// A heap that holds at most k results, the worst on top.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    heap: BinaryHeap<u64>,
}

impl TopK {
    /// Room for the best `k`; memory grows with what is pushed, not with `k`.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k.min(1024)) }
    }

    /// No distance greater than this can enter any more.
    #[must_use]
    pub fn limit(&self) -> f32 {
        if self.heap.len() < self.k {
            f32::INFINITY
        } else {
            self.heap.peek().map_or(f32::NEG_INFINITY, |&worst| neighbor(worst).distance)
        }
    }

    /// Offer a row; NaN is refused.
    pub fn push(&mut self, distance: f32, row: u32) {
        if distance.is_nan() {
            return;
        }
        let key = key(distance, row);
        if self.heap.len() < self.k {
            self.heap.push(key);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && key < *worst
        {
            *worst = key;
        }
    }

    /// Offer consecutive rows, the first of them `first`.
    ///
    /// Most are too far, so a few are compared at once before any is looked at.
    pub fn push_all(&mut self, distances: &[f32], first: u32) {
        let mut limit = self.limit();
        for (first, few) in (first..).step_by(16).zip(distances.chunks(16)) {
            if few.iter().fold(false, |any, &distance| any | (distance <= limit)) {
                for (row, &distance) in (first..).zip(few) {
                    if distance <= limit {
                        self.push(distance, row);
                        limit = self.limit();
                    }
                }
            }
        }
    }

    /// Take over what another heap holds.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for key in other.heap {
            let Neighbor { row, distance } = neighbor(key);
            self.push(distance, row);
        }
        self
    }

    /// The results, nearest first.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Neighbor> {
        self.heap.into_sorted_vec().into_iter().map(neighbor).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_distance_then_row_and_come_back() {
        let distances = [f32::NEG_INFINITY, -2.5, -1e-40, 0.0, 1e-40, 3.0, f32::INFINITY];
        let keys: Vec<u64> =
            distances.iter().flat_map(|&d| [0, 7, u32::MAX].map(|row| key(d, row))).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert_eq!(key(0.0, 3), key(-0.0, 3));
        for d in distances {
            assert_eq!(Neighbor { row: 9, distance: d }, neighbor(key(d, 9)));
        }
    }

    #[test]
    fn the_smallest_rows_win_ties_in_any_order() {
        let mut heap = TopK::new(2);
        for row in [5, 1, 4, 2, 3] {
            heap.push(1.0, row);
        }
        heap.push(f32::NAN, 0);
        let rows: Vec<u32> = heap.into_sorted().iter().map(|n| n.row).collect();
        assert_eq!(vec![1, 2], rows);
    }
}
