//! Many queries: rows are read once for a block of queries, in tiles held in registers.

use super::{Options, held, pieces, row_number};
use crate::kernel::float::inverse_norms;
use crate::kernel::tile::{MAX_QUERIES, MAX_ROWS, Sums, Tile};
use crate::top_k::TopK;
use crate::vectors::check;
use crate::{Data, Metric, Neighbor, Result, Vectors};
use per_process::spread;
use rayon::prelude::*;
use std::ops::Range;

/// Bytes of packed queries that are worked on together; they should stay in the second cache.
const PANELS: usize = 256 << 10;
/// Rows a thread takes at a time.
const CHUNK: usize = 4096;

/// The exact nearest rows of each query; `queries` holds them one after another.
///
/// # Errors
/// If the buffer is not a whole number of queries, one of them is not finite, or a distance among the
/// nearest is beyond single precision.
pub fn search_batch(
    vectors: &Vectors<'_>,
    queries: &[f32],
    options: &Options<'_>,
) -> Result<Vec<Vec<Neighbor>>> {
    let dim = vectors.dim();
    let whole = queries.len().next_multiple_of(dim);
    check("buffer of queries", queries, whole)?;
    let tile = Tile::new(options.level, options.metric == Metric::L2);
    let block = (PANELS / 4 / dim).next_multiple_of(tile.queries).max(tile.queries);
    let mut results = Vec::with_capacity(queries.len() / dim);
    for queries in queries.chunks(block * dim) {
        let panels = pack(queries, dim, options.metric, tile.queries);
        let batch = Batch { vectors, options, tile, panels: &panels, count: queries.len() / dim };
        for found in batch.run() {
            results.push(held(vectors, found)?);
        }
    }
    Ok(results)
}

/// Queries side by side: for each panel, for each dimension, one value of each query.
fn pack(queries: &[f32], dim: usize, metric: Metric, width: usize) -> Vec<Vec<f32>> {
    let queries: Vec<Vec<f32>> = queries.chunks(dim).map(|q| metric.prepare(q)).collect();
    let panel = |group: &[Vec<f32>]| {
        let mut panel = vec![0.0; dim * width];
        for (j, query) in group.iter().enumerate() {
            for (i, &x) in query.iter().enumerate() {
                panel[i * width + j] = x;
            }
        }
        panel
    };
    queries.chunks(width).map(panel).collect()
}

struct Batch<'a> {
    vectors: &'a Vectors<'a>,
    options: &'a Options<'a>,
    tile: Tile,
    panels: &'a [Vec<f32>],
    count: usize,
}

impl Batch<'_> {
    fn run(&self) -> Vec<Vec<Neighbor>> {
        let rows = self.vectors.len();
        let empty = || vec![TopK::new(self.options.k); self.count];
        let work = |mut best: Vec<TopK>, i: usize| {
            self.chunk(&mut best, i * CHUNK..rows.min((i + 1) * CHUNK));
            best
        };
        let chunks = rows.div_ceil(CHUNK);
        let best = if rayon::current_num_threads() == 1 {
            (0..chunks).fold(empty(), work)
        } else {
            let merge = |a: Vec<TopK>, b| a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect();
            spread(|| (0..chunks).into_par_iter().fold(empty, work).reduce(empty, merge))
        };
        best.into_iter().map(TopK::into_sorted).collect()
    }

    /// Gather allowed rows into tiles; rows of other types are widened first.
    fn chunk(&self, best: &mut [TopK], range: Range<usize>) {
        let dim = self.vectors.dim();
        let mut limits = vec![f32::NEG_INFINITY; self.panels.len() * self.tile.queries];
        for (limit, best) in limits.iter_mut().zip(&*best) {
            *limit = best.limit();
        }
        let mut rows: Vec<usize> = Vec::with_capacity(self.tile.rows);
        let mut scratch = vec![0.0; dim * self.tile.rows];
        let mut flush = |rows: &mut Vec<usize>| {
            if let Data::F32(values) = self.vectors.data() {
                let slices = rows.iter().map(|&row| &values[row * dim..(row + 1) * dim]);
                self.tile(best, &mut limits, rows, slices);
            } else {
                for (&row, out) in rows.iter().zip(scratch.chunks_exact_mut(dim)) {
                    self.vectors.widen_row(row, out);
                }
                self.tile(best, &mut limits, rows, scratch.chunks_exact(dim).take(rows.len()));
            }
            rows.clear();
        };
        pieces(range, self.options.filter, CHUNK, |piece| {
            for row in piece {
                rows.push(row);
                if rows.len() == self.tile.rows {
                    flush(&mut rows);
                }
            }
        });
        if !rows.is_empty() {
            flush(&mut rows);
        }
    }

    /// One tile of rows against every panel; a short tile repeats its first row.
    fn tile<'b>(
        &self,
        best: &mut [TopK],
        limits: &mut [f32],
        rows: &[usize],
        slices: impl Iterator<Item = &'b [f32]>,
    ) {
        let mut tile: [&[f32]; MAX_ROWS] = [&[]; MAX_ROWS];
        let mut count = 0;
        for (slot, slice) in tile.iter_mut().zip(slices) {
            *slot = slice;
            count += 1;
        }
        let first = tile[0];
        tile[count..self.tile.rows].fill(first);
        let tile = &tile[..self.tile.rows];
        let lines = self.lines(&tile[..count]);
        let mut sums: Sums = [[0.0; MAX_QUERIES]; MAX_ROWS];
        for (p, panel) in self.panels.iter().enumerate() {
            self.tile.run(tile, panel, &mut sums);
            let first = p * self.tile.queries;
            let limits = &mut limits[first..first + self.tile.queries];
            let lines = sums.iter().zip(&lines);
            for ((&slice, (sums, &(scale, offset))), &row) in tile.iter().zip(lines).zip(rows) {
                let mut distances = [0.0; MAX_QUERIES];
                let (mut any, mut finite) = (false, true);
                for ((d, &sum), &limit) in distances.iter_mut().zip(sums).zip(&*limits) {
                    *d = scale * sum + offset;
                    any |= *d <= limit;
                    finite &= d.is_finite();
                }
                if !finite {
                    self.widely(&mut distances, panel, slice);
                    any = true;
                }
                if any {
                    for (j, limit) in limits.iter_mut().enumerate() {
                        if distances[j] <= *limit {
                            best[first + j].push(distances[j], row_number(row));
                            *limit = best[first + j].limit();
                        }
                    }
                }
            }
        }
    }

    /// Distances of one row that single precision could not sum, from the queries of a panel.
    #[cold]
    fn widely(&self, distances: &mut [f32], panel: &[f32], row: &[f32]) {
        let width = self.tile.queries;
        for (j, distance) in distances.iter_mut().take(width).enumerate() {
            if !distance.is_finite() {
                let query = panel.iter().skip(j).step_by(width).copied();
                *distance = self.options.metric.widely(query, row.iter().copied());
            }
        }
    }

    /// For each row, what turns its sum into a distance: a factor and a term, or NaN.
    fn lines(&self, tile: &[&[f32]]) -> [(f32, f32); MAX_ROWS] {
        let mut lines = [(1.0, 0.0); MAX_ROWS];
        let norms = inverse_norms(self.options.level);
        for (line, row) in lines.iter_mut().zip(tile) {
            *line = match self.options.metric {
                Metric::L2 => (1.0, 0.0),
                Metric::InnerProduct => (-1.0, 0.0),
                Metric::Cosine => {
                    let mut inverse = [0.0];
                    norms(row, row, &mut inverse);
                    (-inverse[0], 1.0)
                }
            };
        }
        lines
    }
}
