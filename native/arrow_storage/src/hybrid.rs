//! Near by vector or by words, fused by rank.

use crate::search::Query;
use crate::{Result, Snapshot};
use arrow_array::RecordBatch;
use std::collections::HashMap;

/// What is added to a rank, so that the first few do not decide alone.
const RANK: f32 = 60.0;

impl Snapshot {
    /// The best rows by vector and by words together. The last column, `_score`, is the sum of
    /// 1 / (60 + rank) over the best `max(4 k, 50)` of each (Cormack, Clarke and Buettcher, SIGIR
    /// 2009); equal scores in the order of the vector's ranking.
    ///
    /// # Errors
    /// As [`Snapshot::search`] and [`Snapshot::search_text`].
    pub fn search_hybrid(
        &self,
        vector: &[f32],
        column: &str,
        text: &str,
        query: &Query<'_>,
    ) -> Result<RecordBatch> {
        let shown = self.projection(query.columns)?;
        let deep = Query { k: query.k.saturating_mul(4).max(50), ..*query };
        let near = self.nearest(vector, &deep)?;
        let alike = self.best_texts(column, text, &deep)?;
        let mut scores: Vec<((usize, usize), f32)> = Vec::new();
        let mut known: HashMap<(usize, usize), usize> = HashMap::new();
        for ranking in near.iter().take(1).chain([&alike]) {
            for (rank, (place, _)) in ranking.iter().enumerate() {
                let at = *known.entry(place).or_insert(scores.len());
                if at == scores.len() {
                    scores.push((place, 0.0));
                }
                #[expect(clippy::cast_precision_loss, reason = "a rank to weigh by")]
                let rank = (rank + 1) as f32;
                scores[at].1 += 1.0 / (RANK + rank);
            }
        }
        scores.sort_by(|a, b| b.1.total_cmp(&a.1));
        scores.truncate(query.k);
        let (places, scores): (Vec<_>, Vec<_>) = scores.into_iter().unzip();
        self.table(&places, &shown, "_score", scores)
    }
}
