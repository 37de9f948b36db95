//! Which rows of a part are wanted, and taking them.

use crate::{Filter, Part, Result, Snapshot, schema};
use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use std::sync::Arc;

impl Part {
    /// One bit a row: set where it is not gone and the filter is true; none if that is every row.
    pub(crate) fn allowed(&self, filter: Option<&Filter>) -> Result<Option<Vec<u64>>> {
        if self.dead.is_empty() && filter.is_none() {
            return Ok(None);
        }
        let mut words = self.live_bits();
        if let Some(filter) = filter {
            let mask = filter.bits(&self.rows.named(&filter.columns())?)?;
            for (word, mask) in words.iter_mut().zip(mask.bit_chunks().iter_padded()) {
                *word &= mask;
            }
        }
        Ok(Some(words))
    }

    /// Some columns of the rows that are not gone and for which the filter is true, copied only if
    /// some are left out.
    pub(crate) fn select(&self, filter: Option<&Filter>, shown: &[usize]) -> Result<RecordBatch> {
        let batch = self.rows.project(shown)?;
        match self.allowed(filter)? {
            None => Ok(batch),
            Some(words) => {
                let bits = BooleanBuffer::new(Buffer::from_vec(words), 0, self.rows.len());
                Ok(filter_record_batch(&batch, &BooleanArray::from(bits))?)
            }
        }
    }
}

impl Snapshot {
    /// How many rows a filter takes.
    ///
    /// # Errors
    /// If the filter does not fit the columns.
    pub fn count_where(&self, filter: &Filter) -> Result<usize> {
        filter.check(&self.schema)?;
        let mut sum = 0;
        for part in &*self.parts {
            let words = part.allowed(Some(filter))?.unwrap_or_default();
            sum += words.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        }
        Ok(sum)
    }

    /// The rows that a filter takes, batch by batch, of some columns in their order; and the schema
    /// of the batches.
    ///
    /// # Errors
    /// If a column does not exist or the filter does not fit; later, if Arrow cannot take rows.
    pub fn select(
        &self,
        filter: Option<Filter>,
        columns: Option<&[&str]>,
    ) -> Result<(SchemaRef, impl Iterator<Item = Result<RecordBatch>> + use<>)> {
        if let Some(filter) = &filter {
            filter.check(&self.schema)?;
        }
        let shown = self.projection(columns)?;
        let schema = Arc::new(self.schema.project(&shown)?);
        let parts = self.parts.clone();
        let batch = move |part: usize| parts[part].select(filter.as_ref(), &shown);
        let empty = |batch: &Result<RecordBatch>| batch.as_ref().is_ok_and(|b| b.num_rows() == 0);
        Ok((schema, (0..self.parts.len()).map(batch).filter(move |batch| !empty(batch))))
    }

    /// The places of columns by name; of all without names.
    pub(crate) fn projection(&self, columns: Option<&[&str]>) -> Result<Vec<usize>> {
        match columns {
            None => Ok((0..self.schema.fields().len()).collect()),
            Some(names) => names.iter().map(|n| schema::position(&self.schema, n)).collect(),
        }
    }
}
