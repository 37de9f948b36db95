//! What a graph knows of its vectors: int8 codes, and which row each belongs to.

use super::table::Table;
use crate::codes::int8::{MOST, line, quantize, within};
use crate::kernel::Level;
use crate::kernel::gather::{Gather, PAD, gather};
use crate::{Metric, Vectors};
use cpu::memory;

/// The codes of all slots, dead ones included.
pub(super) struct Nodes {
    pub metric: Metric,
    pub dim: usize,
    /// Values a row of codes, padding included.
    pub width: usize,
    pub codes: Table,
    /// For each slot, the factor of the integer product and the term added.
    pub lines: Vec<[f32; 2]>,
    /// For each slot, the row of the vector it stands for.
    pub rows: Vec<u32>,
    kernel: Gather,
}

/// A vector to measure distances from.
pub(super) struct Probe<'a> {
    codes: std::borrow::Cow<'a, [i8]>,
    scale: f32,
    term: f32,
}

impl Nodes {
    pub fn new(metric: Metric, dim: usize) -> Self {
        let width = dim.next_multiple_of(PAD);
        let kernel = gather(Level::best());
        let (codes, lines, rows) = (Table::Own(Vec::new()), Vec::new(), Vec::new());
        Self { metric, dim, width, codes, lines, rows, kernel }
    }

    /// Room for more slots, all zero.
    pub fn grow(&mut self, slots: usize) {
        let length = slots * self.width;
        let codes = self.codes.own();
        memory::reserve(codes, length - codes.len());
        codes.resize(length, 0);
        self.lines.resize(slots, [0.0; 2]);
        self.rows.resize(slots, u32::MAX);
    }

    /// Put a row of vectors into a slot.
    pub fn set(&mut self, slot: u32, row: u32, vectors: &Vectors<'_>, scratch: &mut [f32]) {
        let slot = slot as usize;
        vectors.widen_row(row as usize, scratch);
        let codes = &mut self.codes.own()[slot * self.width..(slot + 1) * self.width];
        let scale = quantize(scratch, &mut codes[..self.dim]);
        self.lines[slot] = line(self.metric, scratch, scale);
        self.rows[slot] = row;
    }

    /// Measure from a query.
    pub fn probe(&self, query: &[f32]) -> Probe<'static> {
        let query = self.metric.prepare(query);
        let mut codes = vec![0; self.width];
        let scale = within(quantize(&query, &mut codes[..self.dim]), MOST);
        Probe { codes: codes.into(), scale, term: 0.0 }
    }

    /// Measure from a slot, in the same unit to every other.
    pub fn at(&self, slot: u32) -> Probe<'_> {
        let [factor, term] = self.lines[slot as usize];
        let codes = &self.codes[slot as usize * self.width..(slot as usize + 1) * self.width];
        let (scale, term) =
            if self.metric == Metric::L2 { (factor * -0.5, term) } else { (-factor, 0.0) };
        Probe { codes: codes.into(), scale, term }
    }

    /// Distances from a probe to slots.
    pub fn distances(&self, probe: &Probe<'_>, slots: &[u32], out: &mut Vec<f32>) {
        let mut dots = [0; 64];
        out.clear();
        for slots in slots.chunks(64) {
            (self.kernel)(&probe.codes, &self.codes, slots, &mut dots);
            out.extend(slots.iter().zip(&dots).map(|(&slot, &dot)| {
                let [factor, term] = self.lines[slot as usize];
                #[expect(clippy::cast_precision_loss, reason = "an approximation by intent")]
                let product = dot as f32 * probe.scale;
                factor * product + term + probe.term
            }));
        }
    }

    /// The distance from a probe to one slot.
    pub fn distance(&self, probe: &Probe<'_>, slot: u32) -> f32 {
        let mut dot = [0];
        (self.kernel)(&probe.codes, &self.codes, &[slot], &mut dot);
        let [factor, term] = self.lines[slot as usize];
        #[expect(clippy::cast_precision_loss, reason = "an approximation by intent")]
        let product = dot[0] as f32 * probe.scale;
        factor * product + term + probe.term
    }
}
