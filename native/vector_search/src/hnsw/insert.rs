//! Linking new slots into the graph.

use super::{Entry, Hnsw};
use crate::Neighbor;
use per_process::spread;
use rayon::prelude::*;

impl Hnsw {
    /// Link slots whose codes are in place, many at a time.
    pub(super) fn link_all(&mut self, slots: &[u32]) {
        let mut rest = slots;
        if self.entry.is_none()
            && let Some((&first, others)) = slots.split_first()
        {
            self.entry = Some(Entry { slot: first, level: self.links.level(first) });
            rest = others;
        }
        // The entry is raised between rounds only; rounds grow with the graph, so that the highest
        // node is found early and the rest go in parallel.
        while !rest.is_empty() {
            let linked = slots.len() - rest.len();
            let (round, later) = rest.split_at(rest.len().min(linked.max(64)));
            let Some(entry) = self.entry else { return };
            spread(|| round.par_iter().for_each(|&slot| self.link(slot, entry)));
            for &slot in round {
                let level = self.links.level(slot);
                if self.entry.is_none_or(|entry| entry.level < level) {
                    self.entry = Some(Entry { slot, level });
                }
            }
            rest = later;
        }
    }

    /// Find a slot's neighbours on each of its levels, and link both ways.
    fn link(&self, slot: u32, entry: Entry) {
        let probe = self.nodes.at(slot);
        let level = self.links.level(slot);
        let mut at = self.descend(&probe, entry.slot, entry.level, level.min(entry.level));
        for level in (0..=level.min(entry.level)).rev() {
            let accept = |other| other != slot && !self.is_dead(other);
            let found = self.beam(&probe, at, level, self.settings.build_width, accept);
            if let Some(nearest) = found.first() {
                at = nearest.row;
            }
            let chosen = self.select(&found, self.links.degree);
            {
                let _guard = self.links.lock(slot);
                self.links.write(slot, level, &chosen);
            }
            for &other in &chosen {
                self.link_back(other, slot, level);
            }
        }
    }

    /// Add a link; where a list is full, choose anew among all.
    pub(super) fn link_back(&self, from: u32, to: u32, level: usize) {
        let _guard = self.links.lock(from);
        let mut list = Vec::with_capacity(self.links.most(level) + 1);
        self.links.read(from, level, &mut list);
        if list.contains(&to) {
            return;
        }
        list.push(to);
        if list.len() > self.links.most(level) {
            list = self.select(&self.sorted(from, &list), self.links.wanted(level));
        }
        self.links.write(from, level, &list);
    }

    /// Slots by distance from a slot, nearest first.
    pub(super) fn sorted(&self, from: u32, slots: &[u32]) -> Vec<Neighbor> {
        let mut distances = Vec::new();
        self.nodes.distances(&self.nodes.at(from), slots, &mut distances);
        let mut keys: Vec<u64> =
            slots.iter().zip(&distances).map(|(&s, &d)| crate::top_k::key(d, s)).collect();
        keys.sort_unstable();
        keys.into_iter().map(crate::top_k::neighbor).collect()
    }

    /// Neighbours in different directions: a candidate is left out where one already chosen is
    /// nearer to it than the centre is (Malkov and Yashunin, arXiv:1603.09320, algorithm 4).
    pub(super) fn select(&self, candidates: &[Neighbor], most: usize) -> Vec<u32> {
        let mut chosen: Vec<u32> = Vec::with_capacity(most);
        let mut apart = candidates.to_vec();
        let (mut slots, mut distances) = (Vec::new(), Vec::new());
        while !apart.is_empty() {
            let nearest = apart.remove(0).row;
            chosen.push(nearest);
            if chosen.len() == most {
                break;
            }
            // All that are left from one slot, whose codes stay in the first cache.
            slots.clear();
            slots.extend(apart.iter().map(|other| other.row));
            self.nodes.distances(&self.nodes.at(nearest), &slots, &mut distances);
            let mut between = distances.iter();
            apart.retain(|other| between.next().is_some_and(|&d| d >= other.distance));
        }
        chosen
    }
}
