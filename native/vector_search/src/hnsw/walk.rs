//! Greedy walks over one level of the graph.

use super::Hnsw;
use super::nearest::Nearest;
use super::nodes::Probe;
use crate::top_k::{key, neighbor};
use std::sync::{Mutex, PoisonError};

/// Which slots a walk has seen; cleared by counting up.
#[derive(Default)]
pub(super) struct Visited {
    /// Bytes, so that those of many slots stay in the first caches.
    marks: Vec<u8>,
    now: u8,
}

impl Visited {
    fn start(&mut self, slots: usize) {
        self.marks.resize(slots, 0);
        self.now = self.now.wrapping_add(1);
        if self.now == 0 {
            self.marks.fill(0);
            self.now = 1;
        }
    }

    /// Mark a slot; whether it was new.
    fn visit(&mut self, slot: u32) -> bool {
        let mark = &mut self.marks[slot as usize];
        std::mem::replace(mark, self.now) != self.now
    }

    /// Mark slots, and keep those that were new; whether one was cannot be guessed, so no branch
    /// depends on it.
    fn keep_new(&mut self, slots: &mut Vec<u32>) {
        let mut kept = 0;
        for i in 0..slots.len() {
            let slot = slots[i];
            slots[kept] = slot;
            kept += usize::from(self.visit(slot));
        }
        slots.truncate(kept);
    }
}

/// Marks that are not in use, so that a search does not allocate them.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Visited>>);

impl Pool {
    fn with<T>(&self, slots: usize, work: impl FnOnce(&mut Visited) -> T) -> T {
        let list = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut visited = list().pop().unwrap_or_default();
        visited.start(slots);
        let result = work(&mut visited);
        list().push(visited);
        result
    }
}

impl Hnsw {
    /// From an entry, step to nearer neighbours on each level down to above `bottom`.
    pub(super) fn descend(&self, probe: &Probe<'_>, entry: u32, top: usize, bottom: usize) -> u32 {
        let (mut slots, mut distances) = (Vec::new(), Vec::new());
        let mut best = key(self.nodes.distance(probe, entry), entry);
        for level in (bottom + 1..=top).rev() {
            loop {
                slots.clear();
                self.links.read(neighbor(best).row, level, &mut slots);
                self.nodes.distances(probe, &slots, &mut distances);
                let nearest = slots.iter().zip(&distances).map(|(&s, &d)| key(d, s)).min();
                match nearest {
                    Some(nearer) if nearer < best => best = nearer,
                    _ => break,
                }
            }
        }
        neighbor(best).row
    }

    /// The `ef` nearest acceptable slots that a best-first walk over a level finds, nearest first.
    pub(super) fn beam(
        &self,
        probe: &Probe<'_>,
        entry: u32,
        level: usize,
        ef: usize,
        accept: impl Fn(u32) -> bool,
    ) -> Vec<crate::Neighbor> {
        self.pool.with(self.links.slots(), |visited| {
            let mut nearest = Nearest::new(ef);
            let (mut slots, mut distances) = (Vec::new(), Vec::new());
            let mut offer = |nearest: &mut Nearest, slots: &[u32]| {
                self.nodes.distances(probe, slots, &mut distances);
                for (&slot, &distance) in slots.iter().zip(&distances) {
                    if distance <= nearest.limit() {
                        nearest.push(distance, slot, accept(slot));
                    }
                }
            };
            visited.visit(entry);
            offer(&mut nearest, &[entry]);
            while let Some(next) = nearest.next() {
                // Most often the next to be looked at, if none nearer is found now.
                if let Some(after) = nearest.peek() {
                    self.links.prefetch(after, level);
                }
                slots.clear();
                self.links.read(next, level, &mut slots);
                visited.keep_new(&mut slots);
                offer(&mut nearest, &slots);
            }
            nearest.into_sorted()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_a_walk_long_ago_are_gone() {
        let mut visited = Visited::default();
        visited.start(2);
        assert!(visited.visit(0));
        assert!(!visited.visit(0));
        for _ in 0..255 {
            visited.start(2);
        }
        assert!(visited.visit(0), "the count of walks is one byte");
    }
}
