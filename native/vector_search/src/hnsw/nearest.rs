//! What a walk has found so far, nearest first, and which of it is to be looked at next.

use crate::Neighbor;
use crate::top_k::{key, neighbor};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Slots that can be distinguished here: a bit of each key says whether it has been looked at.
pub(super) const SLOTS: usize = 1 << 31;

/// The `most` nearest slots that may be returned, in order, with a mark on those looked at: what is
/// found and what is still open are one short array, where two heaps would hold both twice.
///
/// Slots that may not be returned are a way to others; they are kept apart.
pub(super) struct Nearest {
    most: usize,
    /// Distance, slot and mark, from the highest bits to the lowest.
    found: Vec<u64>,
    /// All before it have been looked at.
    cursor: usize,
    ways: BinaryHeap<Reverse<u64>>,
    /// The distance of the worst, once there are enough.
    limit: f32,
}

const SEEN: u64 = 1;

fn open(distance: f32, slot: u32) -> u64 {
    key(distance, slot << 1)
}

fn found(key: u64) -> Neighbor {
    let Neighbor { row, distance } = neighbor(key);
    Neighbor { row: row >> 1, distance }
}

impl Nearest {
    /// Room for the best `most`.
    pub fn new(most: usize) -> Self {
        let limit = if most == 0 { f32::NEG_INFINITY } else { f32::INFINITY };
        let found = Vec::with_capacity(most.min(1024));
        Self { most, found, cursor: 0, ways: BinaryHeap::new(), limit }
    }

    /// No distance greater than this can enter any more.
    pub fn limit(&self) -> f32 {
        self.limit
    }

    /// Put in a slot whose distance is within the limit.
    pub fn push(&mut self, distance: f32, slot: u32, accept: bool) {
        let key = open(distance, slot);
        if !accept {
            self.ways.push(Reverse(key));
            return;
        }
        if self.found.len() == self.most {
            if self.found.last().is_none_or(|&worst| key >= worst) {
                return;
            }
            self.found.pop();
        }
        let at = self.found.partition_point(|&other| other < key);
        self.found.insert(at, key);
        self.cursor = self.cursor.min(at);
        if self.found.len() == self.most
            && let Some(&worst) = self.found.last()
        {
            self.limit = found(worst).distance;
        }
    }

    /// The nearest slot that has not been looked at, which it then has; none where all that are
    /// left are beyond the limit.
    pub fn next(&mut self) -> Option<u32> {
        let nearest = self.nearest();
        match (nearest, self.ways.peek()) {
            (key, Some(&Reverse(way))) if key.is_none_or(|key| way < key) => {
                self.ways.pop();
                let way = found(way);
                (way.distance <= self.limit).then_some(way.row)
            }
            (Some(key), _) => {
                self.found[self.cursor] |= SEEN;
                Some(found(key).row)
            }
            (None, _) => None,
        }
    }

    /// The nearest slot that may be returned and has not been looked at.
    pub fn peek(&mut self) -> Option<u32> {
        self.nearest().map(|key| found(key).row)
    }

    fn nearest(&mut self) -> Option<u64> {
        while self.found.get(self.cursor)? & SEEN != 0 {
            self.cursor += 1;
        }
        Some(self.found[self.cursor])
    }

    /// The slots that may be returned, nearest first.
    pub fn into_sorted(self) -> Vec<Neighbor> {
        self.found.into_iter().map(found).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The walk of two heaps that this one stands for: all are open until they are looked at
        /// or beyond the limit, and the best of those that may be returned are kept.
        #[test]
        fn does_what_two_sorted_lists_do(
            most in 0usize..6,
            rounds in prop::collection::vec(
                prop::collection::vec((0u8..20, any::<bool>()), 0..6), 0..12
            ),
        ) {
            let mut nearest = Nearest::new(most);
            let (mut found, mut open): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
            let mut slot = 0;
            for round in rounds {
                for (distance, accept) in round {
                    let distance = f32::from(distance);
                    let full = found.len() == most;
                    let limit = match found.last() {
                        Some(&worst) if full => neighbor(worst).distance,
                        _ if full => f32::NEG_INFINITY,
                        _ => f32::INFINITY,
                    };
                    prop_assert_eq!(limit, nearest.limit());
                    if distance <= limit {
                        nearest.push(distance, slot, accept);
                        open.push(key(distance, slot));
                        if accept {
                            found.push(key(distance, slot));
                            found.sort_unstable();
                            found.truncate(most);
                        }
                    }
                    slot += 1;
                }
                open.sort_unstable();
                let worst = if found.len() == most { found.last().copied() } else { None };
                // Of those as far as the worst one, it does not matter which are looked at.
                let due = open.iter().position(|&key| worst.is_none_or(|worst| key <= worst));
                let expected = due.map(|at| neighbor(open.remove(at)).row);
                if let Some(expected) = expected {
                    prop_assert_eq!(Some(expected), nearest.next());
                }
            }
            let rows: Vec<u32> = found.iter().map(|&key| neighbor(key).row).collect();
            let sorted: Vec<u32> = nearest.into_sorted().iter().map(|n| n.row).collect();
            prop_assert_eq!(rows, sorted);
        }
    }
}
