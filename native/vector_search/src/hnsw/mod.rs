//! A navigable graph over int8 codes, re-scored exactly (Malkov and Yashunin, arXiv:1603.09320).
//!
//! Rows are inserted and removed at any time. A removed row is never returned; its slot is taken
//! out of the graph together with others, and reused. Every live row stays in reach.

mod insert;
mod links;
mod nearest;
mod nodes;
mod persist;
mod repair;
mod table;
#[cfg(test)]
mod tests;
mod walk;

use crate::exact::{self, Options, rescore};
use crate::vectors::check;
use crate::{Bitmap, Error, Metric, Neighbor, Result, Vectors};
use links::Links;
use nodes::Nodes;

/// How a graph is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Links a node keeps on each level; twice as many at the bottom.
    pub degree: usize,
    /// Candidates looked at for each new node.
    pub build_width: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { degree: 16, build_width: 100 }
    }
}

#[derive(Clone, Copy)]
struct Entry {
    slot: u32,
    level: usize,
}

/// The graph.
pub struct Hnsw {
    settings: Settings,
    nodes: Nodes,
    links: Links,
    pool: walk::Pool,
    entry: Option<Entry>,
    /// One bit a slot.
    dead: Vec<u64>,
    dead_count: usize,
    free: Vec<u32>,
    /// One bit a row: whether it is in the graph and not removed.
    live: Vec<u64>,
    live_count: usize,
    /// Slots linked since all were last known to be in reach.
    changes: usize,
}

fn bit(words: &[u64], at: u32) -> bool {
    Bitmap::new(words).contains(at)
}

fn set_bit(words: &mut Vec<u64>, at: u32, value: bool) {
    let word = at as usize / 64;
    if word >= words.len() {
        words.resize(word + 1, 0);
    }
    let mask = 1 << (at % 64);
    words[word] = if value { words[word] | mask } else { words[word] & !mask };
}

impl Hnsw {
    /// A graph without nodes.
    ///
    /// # Errors
    /// If a setting or the dimension is out of range.
    pub fn new(metric: Metric, dim: usize, settings: Settings) -> Result<Self> {
        if dim == 0 || dim > 1 << 16 {
            return Err(Error::Dimension(dim));
        }
        if !(2..=256).contains(&settings.degree) {
            let expected = "2 to 256";
            return Err(Error::Setting { name: "degree", value: settings.degree, expected });
        }
        if !(1..=1 << 16).contains(&settings.build_width) {
            let (name, expected) = ("build_width", "1 to 65536");
            return Err(Error::Setting { name, value: settings.build_width, expected });
        }
        Ok(Self {
            settings,
            nodes: Nodes::new(metric, dim),
            links: Links::new(settings.degree),
            pool: walk::Pool::default(),
            entry: None,
            dead: Vec::new(),
            dead_count: 0,
            free: Vec::new(),
            live: Vec::new(),
            live_count: 0,
            changes: 0,
        })
    }

    /// Values in a vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.nodes.dim
    }

    /// How many rows can be found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live_count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live_count == 0
    }

    /// Whether a row can be found.
    #[must_use]
    pub fn contains(&self, row: u32) -> bool {
        bit(&self.live, row)
    }

    /// Slots in use, free or dead: what memory grows with.
    #[must_use]
    pub fn slots(&self) -> u32 {
        exact::row_number(self.links.slots())
    }

    fn is_dead(&self, slot: u32) -> bool {
        bit(&self.dead, slot)
    }

    fn is_live(&self, slot: u32) -> bool {
        self.nodes.rows[slot as usize] != u32::MAX && !self.is_dead(slot)
    }

    /// Insert rows of `vectors`, in parallel.
    ///
    /// # Errors
    /// If a row does not exist, is there already, or comes twice; nothing is inserted then.
    pub fn insert(&mut self, vectors: &Vectors<'_>, rows: &[u32]) -> Result<()> {
        self.check_vectors(vectors)?;
        let mut seen = Vec::new();
        for &row in rows {
            if row as usize >= vectors.len() {
                return Err(Error::NoSuchRow { row, rows: vectors.len() });
            }
            if self.contains(row) || bit(&seen, row) {
                return Err(Error::DuplicateRow(row));
            }
            set_bit(&mut seen, row, true);
        }
        let reused = self.free.len().min(rows.len());
        let total = self.links.slots() + rows.len() - reused;
        if total > nearest::SLOTS {
            return Err(Error::TooManyRows(total));
        }
        let mut slots = self.free.split_off(self.free.len() - reused);
        let first = self.slots();
        slots.extend((first..).take(rows.len() - reused));
        self.nodes.grow(total);
        self.links.grow(total);
        let mut scratch = vec![0.0; self.nodes.dim];
        for (&slot, &row) in slots.iter().zip(rows) {
            self.nodes.set(slot, row, vectors, &mut scratch);
            self.links.reset(slot, self.draw_level(row));
            set_bit(&mut self.live, row, true);
        }
        self.live_count += rows.len();
        self.link_all(&slots);
        self.changes += rows.len();
        if self.changes * 20 >= self.live_count {
            self.connect();
        }
        Ok(())
    }

    /// Remove rows; those that are not there are passed over. Returns how many were.
    pub fn remove(&mut self, rows: &[u32]) -> usize {
        let mut gone = Vec::new();
        for &row in rows {
            if self.contains(row) {
                set_bit(&mut self.live, row, false);
                set_bit(&mut gone, row, true);
                self.live_count -= 1;
                self.dead_count += 1;
            }
        }
        if gone.is_empty() {
            return 0;
        }
        let before = self.dead_count;
        let removed: Vec<u32> = (0..self.slots())
            .filter(|&slot| !self.is_dead(slot) && bit(&gone, self.nodes.rows[slot as usize]))
            .collect();
        for &slot in &removed {
            set_bit(&mut self.dead, slot, true);
        }
        if before * 8 >= self.live_count {
            self.consolidate();
        }
        removed.len()
    }

    /// Take out what is dead and make sure that every row is in reach.
    pub fn settle(&mut self) {
        if self.dead_count > 0 {
            self.consolidate();
        } else if self.changes > 0 {
            self.connect();
        }
    }

    /// Level `l` with probability `degree^-l`, always the same for a row.
    fn draw_level(&self, row: u32) -> usize {
        let mut x = (u64::from(row) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        let degree = self.settings.degree as u64;
        let (mut level, mut part) = (0, u64::MAX / degree);
        while x < part && level < 15 {
            level += 1;
            part /= degree;
        }
        level
    }

    fn check_vectors(&self, vectors: &Vectors<'_>) -> Result<()> {
        let (found, expected) = (vectors.dim(), self.nodes.dim);
        if found == expected { Ok(()) } else { Err(Error::Length { what: "row", found, expected }) }
    }

    /// The nearest rows, with exact distances; `width` trades time for recall.
    ///
    /// Where the filter leaves an eighth of the rows or less, or a walk finds too few, all allowed
    /// rows are compared instead, so that `min(k, matches)` results always come back.
    ///
    /// # Errors
    /// If the query or the vectors are unfit.
    pub fn search(
        &self,
        vectors: &Vectors<'_>,
        query: &[f32],
        k: usize,
        width: usize,
        filter: Option<Bitmap<'_>>,
    ) -> Result<Vec<Neighbor>> {
        self.check_vectors(vectors)?;
        if let Some(rows) = self.candidates(query, k, width, filter)? {
            return rescore(vectors, query, self.nodes.metric, rows, k);
        }
        let allowed = filter.map(|filter| filter.and(&self.live));
        let options = Options::new(self.nodes.metric, k)
            .filtered(Some(Bitmap::new(allowed.as_deref().unwrap_or(&self.live))));
        exact::search(vectors, query, &options)
    }

    /// The rows that a walk finds near, whose exact distances decide; none where all allowed rows
    /// are to be compared instead. See [`Hnsw::search`].
    ///
    /// # Errors
    /// If the query is unfit.
    pub fn candidates(
        &self,
        query: &[f32],
        k: usize,
        width: usize,
        filter: Option<Bitmap<'_>>,
    ) -> Result<Option<Vec<u32>>> {
        check("query", query, self.nodes.dim)?;
        let matches = match filter {
            Some(filter) => {
                let allowed = filter.and(&self.live);
                Bitmap::new(&allowed).count(allowed.len() * 64)
            }
            None => self.live_count,
        };
        let Some(entry) = self.entry else { return Ok(Some(Vec::new())) };
        if matches * 8 <= self.live_count {
            return Ok(None);
        }
        let probe = self.nodes.probe(query);
        let at = self.descend(&probe, entry.slot, entry.level, 0);
        let accept = |slot| {
            !self.is_dead(slot) && filter.is_none_or(|f| f.contains(self.nodes.rows[slot as usize]))
        };
        let mut found = self.beam(&probe, at, 0, width.max(k), accept);
        found.truncate(k + k / 2 + 10);
        let enough = found.len() >= k.min(matches);
        Ok(enough.then(|| found.iter().map(|n| self.nodes.rows[n.row as usize]).collect()))
    }
}
