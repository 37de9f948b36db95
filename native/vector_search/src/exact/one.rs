//! One query: a stream through memory, with a heap beside it.

use super::{Options, held, pieces, row_number, scan};
use crate::kernel::Scanner;
use crate::vectors::check;
use crate::{Neighbor, Result, Vectors};

/// Rows whose distances are computed before the heap looks at them; they stay in the first cache.
const BLOCK: usize = 128;

/// The exact nearest rows of one query.
///
/// # Errors
/// If the query is of the wrong dimension or not finite, or a distance among the nearest is beyond
/// single precision.
pub fn search(
    vectors: &Vectors<'_>,
    query: &[f32],
    options: &Options<'_>,
) -> Result<Vec<Neighbor>> {
    check("query", query, vectors.dim())?;
    let query = options.metric.prepare(query);
    let scanner = Scanner::new(vectors, options.metric, options.level);
    let found = scan(vectors.len(), options.k, |best, range| {
        let mut out = [0.0; BLOCK];
        pieces(range, options.filter, BLOCK, |rows| {
            let out = &mut out[..rows.len()];
            scanner.distances(&query, rows.clone(), out);
            best.push_all(out, row_number(rows.start));
        });
    });
    held(vectors, found)
}
