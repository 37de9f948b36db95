//! How much of the truth a search found.

use crate::Neighbor;

/// The share of the exact results that were found, over all queries; 1 where there is nothing to find.
///
/// A row at the distance of the last exact result counts as found, since ties have no one order.
#[must_use]
pub fn recall(exact: &[Vec<Neighbor>], found: &[Vec<Neighbor>]) -> f64 {
    let (mut hits, mut total) = (0usize, 0usize);
    for (exact, found) in exact.iter().zip(found) {
        let Some(last) = exact.last() else { continue };
        total += exact.len();
        hits += found
            .iter()
            .take(exact.len())
            .filter(|n| n.distance <= last.distance || exact.iter().any(|e| e.row == n.row))
            .count();
    }
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    if total == 0 { 1.0 } else { hits as f64 / total as f64 }
}
