//! Exact search: every allowed row is read.

mod batch;
mod one;
mod rescore;

pub use batch::search_batch;
pub use one::search;
pub use rescore::rescore;

use crate::kernel::Level;
use crate::top_k::TopK;
use crate::{Bitmap, Error, Metric, Neighbor, Result, Vectors};
use per_process::spread;
use rayon::prelude::*;
use std::ops::Range;

/// What to search for, besides the query.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// How distances are measured.
    pub metric: Metric,
    /// How many results are wanted; fewer come back where fewer rows match.
    pub k: usize,
    /// Which rows may be returned; all of them without it.
    pub filter: Option<Bitmap<'a>>,
    /// Which instructions to use.
    pub level: Level,
}

impl Options<'_> {
    /// The `k` nearest of all rows.
    #[must_use]
    pub fn new(metric: Metric, k: usize) -> Self {
        Self { metric, k, filter: None, level: Level::best() }
    }
}

impl<'a> Options<'a> {
    /// The same, among allowed rows only.
    #[must_use]
    pub fn filtered(self, filter: Option<Bitmap<'a>>) -> Self {
        Self { filter, ..self }
    }
}

/// Rows a thread takes at a time: enough to be worth it, few enough to share out evenly.
const CHUNK: usize = 8192;

/// Run a scan over all rows, split among threads, and merge the heaps.
pub(crate) fn scan(
    rows: usize,
    k: usize,
    chunk: impl Fn(&mut TopK, Range<usize>) + Sync,
) -> Vec<Neighbor> {
    if k == 0 {
        return Vec::new();
    }
    if rows <= CHUNK || rayon::current_num_threads() == 1 {
        let mut best = TopK::new(k);
        chunk(&mut best, 0..rows);
        return best.into_sorted();
    }
    let some = |mut best, i| {
        chunk(&mut best, i * CHUNK..rows.min((i + 1) * CHUNK));
        best
    };
    let empty = || TopK::new(k);
    let chunks = 0..rows.div_ceil(CHUNK);
    spread(|| chunks.into_par_iter().fold(empty, some).reduce(empty, TopK::merge)).into_sorted()
}

/// The allowed rows of a range, in pieces of at most `most` consecutive rows.
pub(crate) fn pieces(
    range: Range<usize>,
    filter: Option<Bitmap<'_>>,
    most: usize,
    mut piece: impl FnMut(Range<usize>),
) {
    let mut cut = |run: Range<usize>| {
        let mut start = run.start;
        while start < run.end {
            let end = run.end.min(start + most);
            piece(start..end);
            start = end;
        }
    };
    match filter {
        None => cut(range),
        Some(filter) => filter.runs(range).for_each(cut),
    }
}

/// Refuse results of which a distance is beyond single precision, so that its order is not known.
/// Rows with values that are not finite are let through.
fn held(vectors: &Vectors<'_>, found: Vec<Neighbor>) -> Result<Vec<Neighbor>> {
    for &Neighbor { row, distance } in found.iter().filter(|one| !one.distance.is_finite()) {
        if vectors.row(row)?.iter().all(|x| x.is_finite()) {
            return Err(Error::Beyond { row, distance });
        }
    }
    Ok(found)
}

/// A row number; rows never exceed `u32` (see [`crate::Vectors::new`]).
#[expect(clippy::cast_possible_truncation, reason = "checked when the vectors were made")]
pub(crate) fn row_number(row: usize) -> u32 {
    row as u32
}
