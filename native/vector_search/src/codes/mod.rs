//! Compact codes of vectors: a scan of the codes finds candidates, exact distances decide.

mod binary;
pub(crate) mod int8;

pub use binary::BinaryCodes;
pub use int8::Int8Codes;

use crate::exact::{Options, pieces, rescore, row_number, scan};
use crate::{Metric, Neighbor, Result, Vectors};
use std::ops::Range;

/// Rows scanned before the heap looks at them.
const BLOCK: usize = 256;

/// The rows with the smallest distances by their codes: `products` writes what a kernel finds for
/// consecutive rows, `distance` makes one of it and of what is known of the row.
fn candidates<T: Copy + Default, L: Sync>(
    lines: &[L],
    options: &Options<'_>,
    products: impl Fn(Range<usize>, &mut [T]) + Sync,
    distance: impl Fn(&L, T) -> f32 + Sync,
) -> Vec<Neighbor> {
    scan(lines.len(), options.k, |best, range| {
        let (mut out, mut distances) = ([T::default(); BLOCK], [0.0; BLOCK]);
        pieces(range, options.filter, BLOCK, |rows| {
            let (out, distances) = (&mut out[..rows.len()], &mut distances[..rows.len()]);
            products(rows.clone(), out);
            for ((d, &product), line) in distances.iter_mut().zip(&*out).zip(&lines[rows.clone()]) {
                *d = distance(line, product);
            }
            best.push_all(distances, row_number(rows.start));
        });
    })
}

/// Find candidates by their codes, then the exact `k` nearest of them.
fn rescored(
    vectors: &Vectors<'_>,
    query: &[f32],
    metric: Metric,
    wanted: usize,
    options: &Options<'_>,
    candidates: impl FnOnce(&Options<'_>) -> Result<Vec<Neighbor>>,
) -> Result<Vec<Neighbor>> {
    let found = candidates(&Options { k: wanted.max(options.k), ..*options })?;
    rescore(vectors, query, metric, found.into_iter().map(|n| n.row), options.k)
}
