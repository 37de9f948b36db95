//! Taking dead slots out of the graph, and keeping every live one in reach.

use super::{Entry, Hnsw};
use per_process::spread;
use rayon::prelude::*;

impl Hnsw {
    /// Link around dead slots and free them.
    pub(super) fn consolidate(&mut self) {
        let live: Vec<u32> = (0..self.slots()).filter(|&slot| self.is_live(slot)).collect();
        if self.entry.is_some_and(|entry| self.is_dead(entry.slot)) {
            let highest = live.iter().max_by_key(|&&slot| self.links.level(slot));
            self.entry = highest.map(|&slot| Entry { slot, level: self.links.level(slot) });
        }
        let relink = |&slot: &u32| {
            (0..=self.links.level(slot)).for_each(|level| self.relink(slot, level));
        };
        spread(|| live.par_iter().for_each(relink));
        for slot in 0..self.slots() {
            if self.is_dead(slot) {
                self.links.reset(slot, 0);
                self.free.push(slot);
                self.nodes.rows[slot as usize] = u32::MAX;
            }
        }
        self.dead.fill(0);
        self.dead_count = 0;
        self.connect();
    }

    /// Replace dead neighbours by the best of theirs.
    fn relink(&self, slot: u32, level: usize) {
        let mut list = Vec::new();
        self.links.read(slot, level, &mut list);
        let (dead, mut near): (Vec<u32>, Vec<u32>) =
            list.into_iter().partition(|&other| self.is_dead(other));
        if dead.is_empty() {
            return;
        }
        for other in dead {
            self.links.read(other, level, &mut near);
        }
        near.retain(|&other| other != slot && !self.is_dead(other));
        near.sort_unstable();
        near.dedup();
        let chosen = self.select(&self.sorted(slot, &near), self.links.wanted(level));
        let _guard = self.links.lock(slot);
        self.links.write(slot, level, &chosen);
    }

    /// Live slots that no walk along the bottom from the entry meets.
    #[must_use]
    pub fn unreachable(&self) -> Vec<u32> {
        let seen = self.reach();
        (0..self.slots()).filter(|&slot| self.is_live(slot) && !seen[slot as usize]).collect()
    }

    fn reach(&self) -> Vec<bool> {
        let mut seen = vec![false; self.slots() as usize];
        let mut open: Vec<u32> = self.entry.iter().map(|entry| entry.slot).collect();
        for &slot in &open {
            seen[slot as usize] = true;
        }
        let mut list = Vec::new();
        while let Some(slot) = open.pop() {
            list.clear();
            self.links.read(slot, 0, &mut list);
            for &other in &list {
                if !std::mem::replace(&mut seen[other as usize], true) {
                    open.push(other);
                }
            }
        }
        seen
    }

    /// Link every live slot that is out of reach from the nearest slot in reach that has room.
    pub(super) fn connect(&mut self) {
        self.changes = 0;
        let Some(entry) = self.entry else { return };
        // A full list gives up its last link, which can put another slot out of reach; a few
        // rounds settle that.
        for _ in 0..8 {
            let seen = self.reach();
            let lost = self.unreachable();
            if lost.is_empty() {
                return;
            }
            for slot in lost {
                let probe = self.nodes.at(slot);
                let at = self.descend(&probe, entry.slot, entry.level, 0);
                let width = self.settings.build_width.max(64);
                let near = self.beam(&probe, at, 0, width, |other| seen[other as usize]);
                let room =
                    |other: u32| self.count(other) < self.links.most(0) + super::links::SPARE;
                let from = near.iter().find(|n| room(n.row)).or(near.first());
                if let Some(from) = from {
                    self.force(from.row, slot);
                }
            }
        }
    }

    /// Links of a slot at the bottom.
    fn count(&self, slot: u32) -> usize {
        let mut list = Vec::new();
        self.links.read(slot, 0, &mut list);
        list.len()
    }

    /// Add a link in spare room, or else in place of the last.
    pub(super) fn force(&self, from: u32, to: u32) {
        let _guard = self.links.lock(from);
        let mut list = Vec::new();
        self.links.read(from, 0, &mut list);
        if list.len() == self.links.most(0) + super::links::SPARE {
            list.pop();
        }
        list.push(to);
        self.links.write(from, 0, &list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hnsw::Settings;
    use crate::{Metric, Vectors};

    #[test]
    fn a_slot_that_loses_all_neighbours_is_linked_to_theirs() {
        const DIM: usize = 8;
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            f32::from((state >> 48) as u16) / 32768.0 - 1.0
        };
        let values: Vec<f32> = (0..800 * DIM).map(|_| next()).collect();
        let vectors = Vectors::f32(&values, DIM).unwrap();
        let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
        graph.insert(&vectors, &(0..800).collect::<Vec<_>>()).unwrap();
        for slot in (0..800).step_by(100) {
            let (mut gone, mut left) = (Vec::new(), Vec::new());
            graph.links.read(slot, 0, &mut gone);
            let rows: Vec<u32> = gone.iter().map(|&g| graph.nodes.rows[g as usize]).collect();
            graph.remove(&rows);
            if !graph.is_live(slot) {
                continue;
            }
            graph.settle();
            graph.links.read(slot, 0, &mut left);

            assert!(left.len() >= 3, "{slot}: {left:?} after {gone:?}");
        }
    }
}
