//! Exact distances of a few candidates.

use super::held;
use crate::kernel::{Level, Scanner};
use crate::top_k::TopK;
use crate::vectors::check;
use crate::{Error, Metric, Neighbor, Result, Vectors};

/// How many rows ahead memory is asked for.
const AHEAD: usize = 2;

/// The `k` nearest of some rows, by exact distance.
///
/// # Errors
/// If the query is unfit, a row does not exist, or a distance among the nearest is beyond single
/// precision.
pub fn rescore(
    vectors: &Vectors<'_>,
    query: &[f32],
    metric: Metric,
    rows: impl IntoIterator<Item = u32>,
    k: usize,
) -> Result<Vec<Neighbor>> {
    check("query", query, vectors.dim())?;
    let query = metric.prepare(query);
    let scanner = Scanner::new(vectors, metric, Level::best());
    let rows: Vec<u32> = rows.into_iter().collect();
    if let Some(&row) = rows.iter().find(|&&row| row as usize >= vectors.len()) {
        return Err(Error::NoSuchRow { row, rows: vectors.len() });
    }
    let mut best = TopK::new(k);
    for (i, &row) in rows.iter().enumerate() {
        if let Some(&later) = rows.get(i + AHEAD) {
            scanner.prefetch(later);
        }
        best.push(scanner.distance(&query, row), row);
    }
    held(vectors, best.into_sorted())
}
