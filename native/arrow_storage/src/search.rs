//! The nearest rows of a snapshot.

use crate::{Error, Result, Snapshot, schema};
use arrow_array::{ArrayRef, BooleanArray, Float32Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;
use vector_search::exact::{Options, search_batch};
use vector_search::top_k::key;
use vector_search::{Bitmap, Vectors};

/// A search.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// What to be near to.
    pub vector: &'a [f32],
    /// How many rows are wanted.
    pub k: usize,
    /// For each part of the snapshot, which rows may be returned; all without it.
    pub allowed: Option<&'a [BooleanArray]>,
    /// The columns to return; all without it. The distance is added as `_distance`.
    pub columns: Option<&'a [&'a str]>,
}

impl<'a> Query<'a> {
    /// All columns of the `k` nearest rows.
    #[must_use]
    pub fn new(vector: &'a [f32], k: usize) -> Self {
        Self { vector, k, allowed: None, columns: None }
    }
}

impl Snapshot {
    /// The nearest rows, by exact distance, nearest first; equal distances in the order of writing.
    ///
    /// # Errors
    /// If the vector is of another dimension or not finite, or a column does not exist.
    pub fn search(&self, query: &Query<'_>) -> Result<RecordBatch> {
        let mut found = self.search_batch(query.vector, query)?;
        Ok(found.pop().unwrap_or_else(|| RecordBatch::new_empty(self.schema.clone())))
    }

    /// The same for many vectors, one after another in `vectors`; each row is read once for many.
    ///
    /// # Errors
    /// As [`Snapshot::search`].
    pub fn search_batch(&self, vectors: &[f32], query: &Query<'_>) -> Result<Vec<RecordBatch>> {
        let dim = schema::dimension(&self.schema, &self.columns)?;
        let whole = vectors.len().max(1).next_multiple_of(dim);
        if vectors.len() != whole {
            let (what, found) = ("query", vectors.len());
            return Err(vector_search::Error::Length { what, found, expected: dim }.into());
        }
        let shown = self.projection(query.columns)?;
        if let Some(allowed) = query.allowed
            && (allowed.len() != self.parts.len()
                || allowed.iter().zip(&*self.parts).any(|(a, p)| a.len() != p.batch.num_rows()))
        {
            return Err(Error::Schema("the filter was made for another snapshot".into()));
        }
        let mut merged: Vec<Vec<(u64, usize)>> = vec![Vec::new(); vectors.len() / dim];
        for (p, part) in self.parts.iter().enumerate() {
            let rows = Vectors::f32(schema::vectors(&part.batch, &self.columns)?, dim)?;
            let mut live =
                (!part.dead.is_empty() || query.allowed.is_some()).then(|| part.live_bits());
            if let (Some(allowed), Some(live)) = (query.allowed, &mut live) {
                restrict(live, &allowed[p]);
            }
            let filter = live.as_deref().map(Bitmap::new);
            let options = Options::new(self.metric, query.k).filtered(filter);
            let found = if vectors.len() == dim {
                vec![vector_search::search(&rows, vectors, &options)?]
            } else {
                search_batch(&rows, vectors, &options)?
            };
            for (merged, found) in merged.iter_mut().zip(found) {
                merged.extend(found.iter().map(|n| (key(n.distance, n.row), p)));
                // By distance, then part, then row: the order of writing.
                merged.sort_unstable_by_key(|&(key, part)| (key >> 32, part, key));
                merged.truncate(query.k);
            }
        }
        merged.iter().map(|found| self.result(found, &shown)).collect()
    }

    fn projection(&self, columns: Option<&[&str]>) -> Result<Vec<usize>> {
        match columns {
            None => Ok((0..self.schema.fields().len()).collect()),
            Some(names) => names.iter().map(|n| schema::position(&self.schema, n)).collect(),
        }
    }

    fn result(&self, found: &[(u64, usize)], shown: &[usize]) -> Result<RecordBatch> {
        let neighbors = found.iter().map(|&(key, _)| vector_search::top_k::neighbor(key));
        let distances: ArrayRef =
            Arc::new(Float32Array::from_iter_values(neighbors.clone().map(|n| n.distance)));
        let places: Vec<_> =
            found.iter().zip(neighbors).map(|(&(_, part), n)| (part, n.row as usize)).collect();
        let narrow = Arc::new(self.schema.project(shown)?);
        let mut columns = if places.is_empty() {
            RecordBatch::new_empty(narrow).columns().to_vec()
        } else {
            let project = |part: &crate::Part| part.batch.project(shown);
            let batches =
                self.parts.iter().map(project).collect::<std::result::Result<Vec<_>, _>>()?;
            let batches: Vec<&RecordBatch> = batches.iter().collect();
            arrow_select::interleave::interleave_record_batch(&batches, &places)?.columns().to_vec()
        };
        columns.push(distances);
        let mut fields: Vec<_> = shown.iter().map(|&i| self.schema.fields()[i].clone()).collect();
        fields.push(Arc::new(Field::new("_distance", DataType::Float32, false)));
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

/// Clear the bits of rows that a mask leaves out; a null leaves out too.
fn restrict(live: &mut [u64], allowed: &BooleanArray) {
    for (row, keep) in allowed.iter().enumerate() {
        if keep != Some(true) {
            live[row / 64] &= !(1 << (row % 64));
        }
    }
}
