//! The nearest rows of a snapshot.

use crate::found::Found;
use crate::index::Index;
use crate::{Filter, Part, Result, Snapshot, schema};
use arrow_array::RecordBatch;
use vector_search::exact::{Options, rescore, search_batch};
use vector_search::{Bitmap, Neighbor, Vectors};

/// What is wanted of a search, besides what to be near to.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// How many rows.
    pub k: usize,
    /// Only rows that it takes; all without it.
    pub filter: Option<&'a Filter>,
    /// The columns to return, in this order; all without it.
    pub columns: Option<&'a [&'a str]>,
    /// How many candidates are weighed in an approximate search; without it the search is exact.
    pub width: Option<usize>,
}

impl<'a> Query<'a> {
    /// All columns of the `k` nearest rows, exactly.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, filter: None, columns: None, width: None }
    }

    /// The same, of some columns.
    #[must_use]
    pub fn columns(self, columns: &'a [&'a str]) -> Self {
        Self { columns: Some(columns), ..self }
    }

    /// The same, of rows that a filter takes.
    #[must_use]
    pub fn filter(self, filter: &'a Filter) -> Self {
        Self { filter: Some(filter), ..self }
    }
}

impl Snapshot {
    /// The nearest rows, nearest first; equal distances in the order of writing. The last column,
    /// `_distance`, is the exact distance, also where an approximate search chose the rows.
    ///
    /// # Errors
    /// If the vector is of another dimension or not finite, a column does not exist, or the filter
    /// does not fit.
    pub fn search(&self, vector: &[f32], query: &Query<'_>) -> Result<RecordBatch> {
        let mut found = self.search_batch(vector, query)?;
        Ok(found.pop().unwrap_or_else(|| RecordBatch::new_empty(self.schema.clone())))
    }

    /// The same for many vectors, one after another in `vectors`; each row is read once for many.
    ///
    /// # Errors
    /// As [`Snapshot::search`].
    pub fn search_batch(&self, vectors: &[f32], query: &Query<'_>) -> Result<Vec<RecordBatch>> {
        let shown = self.projection(query.columns)?;
        let table = |found: &Found| {
            let (places, distances): (Vec<_>, Vec<_>) = found.iter().unzip();
            self.table(&places, &shown, "_distance", distances)
        };
        self.nearest(vectors, query)?.iter().map(table).collect()
    }

    /// The places of the nearest rows of each vector.
    pub(crate) fn nearest(&self, vectors: &[f32], query: &Query<'_>) -> Result<Vec<Found>> {
        let dim = schema::dimension(&self.schema, &self.columns)?;
        let whole = vectors.len().max(1).next_multiple_of(dim);
        if vectors.len() != whole {
            let (what, found) = ("query", vectors.len());
            return Err(vector_search::Error::Length { what, found, expected: dim }.into());
        }
        if let Some(filter) = query.filter {
            filter.check(&self.schema)?;
        }
        let mut merged = vec![Found::new(query.k); vectors.len() / dim];
        for (p, part) in self.parts.iter().enumerate() {
            let found = self.nearest_in(part, vectors, query)?;
            for (merged, found) in merged.iter_mut().zip(found) {
                merged.merge(p, &found);
            }
        }
        Ok(merged)
    }

    fn nearest_in(
        &self,
        part: &Part,
        vectors: &[f32],
        query: &Query<'_>,
    ) -> Result<Vec<Vec<Neighbor>>> {
        let place = schema::position(&self.schema, &self.columns.vector)?;
        let column = part.rows.vectors(place)?;
        let dim = self.dimension();
        let rows = Vectors::f32(schema::vectors(&column, dim)?, dim)?;
        let allowed = part.allowed(query.filter)?;
        let filter = allowed.as_deref().map(Bitmap::new);
        if let Some(width) = query.width
            && let Some(index) = part.index(&self.folder, (place, &rows), self.metric)?
        {
            let search = |vector: &[f32]| -> Result<Option<Vec<Neighbor>>> {
                match &index {
                    Index::Graph(graph) => {
                        let found =
                            graph.candidates(vector, query.k, width.max(query.k), filter)?;
                        let Some(found) = found else { return Ok(None) };
                        part.rows.touch(place, found.iter().map(|&row| one(row)))?;
                        Ok(Some(rescore(&rows, vector, self.metric, found, query.k)?))
                    }
                    Index::Codes(codes) => {
                        let options = Options::new(self.metric, query.k).filtered(filter);
                        let width = width.max(query.k.saturating_mul(2));
                        Ok(Some(codes.search(&rows, vector, width, &options)?))
                    }
                }
            };
            let exactly = |vector| self.exactly(part, place, &rows, vector, query.k, filter);
            let each = |vector| match search(vector)? {
                Some(found) => Ok(found),
                None => Ok(exactly(vector)?.pop().unwrap_or_default()),
            };
            return vectors.chunks(dim).map(each).collect();
        }
        self.exactly(part, place, &rows, vectors, query.k, filter)
    }

    /// The nearest rows of each vector among those that a filter allows, all of which are read.
    fn exactly(
        &self,
        part: &Part,
        place: usize,
        rows: &Vectors<'_>,
        vectors: &[f32],
        k: usize,
        filter: Option<Bitmap<'_>>,
    ) -> Result<Vec<Vec<Neighbor>>> {
        match filter.filter(|filter| filter.count(rows.len()) * 8 < rows.len()) {
            Some(few) => part.rows.touch(place, few.runs(0..rows.len()))?,
            None => drop(part.rows.column(place)?),
        }
        let options = Options::new(self.metric, k).filtered(filter);
        if vectors.len() == rows.dim() {
            Ok(vec![vector_search::search(rows, vectors, &options)?])
        } else {
            Ok(search_batch(rows, vectors, &options)?)
        }
    }
}

fn one(row: u32) -> std::ops::Range<usize> {
    row as usize..row as usize + 1
}
