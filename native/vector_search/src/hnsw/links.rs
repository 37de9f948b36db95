//! Who is linked to whom, readable by all threads while one of them writes.

use crate::kernel::prefetch;
use cpu::memory;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places in every bottom list that only repair may fill.
pub(super) const SPARE: usize = 2;
/// Links that a list may have beyond its degree before all are chosen anew: choosing costs most of
/// a build, and is needed that many times less often.
pub(super) const SLACK: usize = 6;

/// Adjacency lists: one of `2 * degree` a slot at the bottom, one of `degree` on each level above.
///
/// A list is a count and then neighbours. A reader that meets a writer sees old and new neighbours
/// mixed; each of them is a slot that exists.
pub(super) struct Links {
    pub degree: usize,
    bottom: Vec<AtomicU32>,
    upper: Vec<Box<[AtomicU32]>>,
    locks: Box<[Mutex<()>]>,
}

fn zeros(length: usize) -> impl Iterator<Item = AtomicU32> {
    (0..length).map(|_| AtomicU32::new(0))
}

impl Links {
    pub fn new(degree: usize) -> Self {
        let locks = (0..1024).map(|_| Mutex::new(())).collect();
        Self { degree, bottom: Vec::new(), upper: Vec::new(), locks }
    }

    fn stride(&self) -> usize {
        1 + self.most(0) + SPARE
    }

    pub fn slots(&self) -> usize {
        self.upper.len()
    }

    /// Room for more slots, all without links.
    pub fn grow(&mut self, slots: usize) {
        let more = slots * self.stride() - self.bottom.len();
        memory::reserve(&mut self.bottom, more);
        self.bottom.extend(zeros(more));
        self.upper.resize_with(slots, Box::default);
    }

    /// Empty a slot's lists and give it new ones up to a level.
    pub fn reset(&mut self, slot: u32, level: usize) {
        let stride = self.stride();
        self.bottom[slot as usize * stride].store(0, Relaxed);
        self.upper[slot as usize] = zeros(level * (1 + self.degree)).collect();
    }

    /// The highest level a slot is on.
    pub fn level(&self, slot: u32) -> usize {
        self.upper[slot as usize].len() / (1 + self.degree)
    }

    /// How many links are kept when they are chosen.
    pub fn wanted(&self, level: usize) -> usize {
        if level == 0 { 2 * self.degree } else { self.degree }
    }

    /// How many links a list may have, spare places aside.
    pub fn most(&self, level: usize) -> usize {
        self.wanted(level) + if level == 0 { SLACK } else { 0 }
    }

    /// The places of a list; none where the slot is not on the level.
    fn list(&self, slot: u32, level: usize) -> &[AtomicU32] {
        let slot = slot as usize;
        if level == 0 {
            return &self.bottom[slot * self.stride()..(slot + 1) * self.stride()];
        }
        let width = 1 + self.degree;
        self.upper[slot].get((level - 1) * width..level * width).unwrap_or_default()
    }

    /// Ask for the memory of a list that will be read soon.
    pub fn prefetch(&self, slot: u32, level: usize) {
        prefetch::<0, _>(self.list(slot, level));
    }

    /// Append the neighbours of a slot.
    pub fn read(&self, slot: u32, level: usize, out: &mut Vec<u32>) {
        if let Some((count, places)) = self.list(slot, level).split_first() {
            let count = (count.load(Acquire) as usize).min(places.len());
            out.extend(places[..count].iter().map(|place| place.load(Relaxed)));
        }
    }

    /// Replace the neighbours of a slot by as many as there is room for, under its lock.
    pub fn write(&self, slot: u32, level: usize, neighbours: &[u32]) {
        if let Some((count, places)) = self.list(slot, level).split_first() {
            let mut written = 0;
            for (place, &neighbour) in places.iter().zip(neighbours) {
                place.store(neighbour, Relaxed);
                written += 1;
            }
            count.store(written, Release);
        }
    }

    /// Hold this while a list is read, changed and written.
    pub fn lock(&self, slot: u32) -> MutexGuard<'_, ()> {
        let lock = &self.locks[slot as usize % self.locks.len()];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
