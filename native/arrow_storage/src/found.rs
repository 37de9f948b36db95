//! Results of a search, of all parts together.

use crate::{Result, Snapshot};
use arrow_array::{ArrayRef, Float32Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;
use vector_search::Neighbor;
use vector_search::top_k::{key, neighbor};

/// The best rows found so far, nearest first.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    k: usize,
    /// Distance and row as one number, and the part.
    best: Vec<(u64, usize)>,
}

impl Found {
    pub fn new(k: usize) -> Self {
        Self { k, best: Vec::new() }
    }

    /// Take in what was found in one part.
    pub fn merge(&mut self, part: usize, neighbors: &[Neighbor]) {
        self.best.extend(neighbors.iter().map(|n| (key(n.distance, n.row), part)));
        // By distance, then part, then row: the order of writing.
        self.best.sort_unstable_by_key(|&(key, part)| (key >> 32, part, key));
        self.best.truncate(self.k);
    }

    /// Part and row of each, and its distance.
    pub fn iter(&self) -> impl Iterator<Item = ((usize, usize), f32)> + '_ {
        self.best.iter().map(|&(key, part)| {
            let Neighbor { row, distance } = neighbor(key);
            ((part, row as usize), distance)
        })
    }
}

impl Snapshot {
    /// Rows by part and row, some of their columns, and a last column of numbers.
    pub(crate) fn table(
        &self,
        places: &[(usize, usize)],
        shown: &[usize],
        name: &str,
        numbers: Vec<f32>,
    ) -> Result<RecordBatch> {
        let mut columns = self.gather(places, shown)?.columns().to_vec();
        columns.push(Arc::new(Float32Array::from(numbers)) as ArrayRef);
        let mut fields: Vec<_> = shown.iter().map(|&i| self.schema.fields()[i].clone()).collect();
        fields.push(Arc::new(Field::new(name, DataType::Float32, false)));
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}
