//! What a store held at one moment; it never changes, whatever is written later.

use crate::state::Part;
use crate::{Columns, Id, Metric, Result, schema};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// A consistent view. Cheap to clone; holds its files open until it is dropped.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) schema: SchemaRef,
    pub(crate) columns: Arc<Columns>,
    pub(crate) metric: Metric,
    /// Where graphs are kept.
    pub(crate) folder: Arc<Path>,
    pub(crate) parts: Arc<[Part]>,
}

impl Snapshot {
    /// The columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Which columns are id and vector.
    #[must_use]
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// How distances are measured.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Values in a vector.
    #[must_use]
    pub fn dimension(&self) -> usize {
        schema::dimension(&self.schema, &self.columns).unwrap_or_default()
    }

    /// Where the rows lie.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How many rows there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parts.iter().map(Part::live).sum()
    }

    /// All rows, batch by batch.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
        self.parts.iter().filter(|part| part.live() > 0).map(Part::compacted)
    }

    /// The rows of some ids, in the order of the ids; ids that are not there are passed over.
    ///
    /// This reads all ids. A writer finds them by its index: see [`crate::Store::get`].
    ///
    /// # Errors
    /// If Arrow cannot take rows.
    pub fn get(&self, ids: &[Id]) -> Result<RecordBatch> {
        let column = schema::position(&self.schema, &self.columns.id)?;
        let wanted: HashSet<&Id> = ids.iter().collect();
        let mut found = std::collections::HashMap::new();
        for (p, part) in self.parts.iter().enumerate() {
            let ids = part.rows.column(column)?;
            for row in matching(&ids, &wanted) {
                if !part.dead.contains(row) {
                    let id = Id::column(&ids.slice(row as usize, 1));
                    found.extend(id.into_iter().map(|id| (id, (p, row as usize))));
                }
            }
        }
        let places: Vec<_> = ids.iter().filter_map(|id| found.get(id).copied()).collect();
        self.take(&places)
    }

    /// All columns of rows by part and row.
    pub(crate) fn take(&self, places: &[(usize, usize)]) -> Result<RecordBatch> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        self.gather(places, &all)
    }

    /// Some columns of rows by part and row; parts without any are left alone.
    pub(crate) fn gather(&self, places: &[(usize, usize)], shown: &[usize]) -> Result<RecordBatch> {
        let mut used: Vec<usize> = places.iter().map(|&(part, _)| part).collect();
        used.sort_unstable();
        used.dedup();
        if used.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::new(self.schema.project(shown)?)));
        }
        let batch = |&part: &usize| {
            let rows = places.iter().filter(move |place| place.0 == part).map(|place| place.1);
            self.parts[part].rows.pick(shown, rows)
        };
        let batches: Vec<RecordBatch> = used.iter().map(batch).collect::<Result<_>>()?;
        let at = |part| used.binary_search(&part).unwrap_or_default();
        let places: Vec<_> = places.iter().map(|&(part, row)| (at(part), row)).collect();
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        Ok(arrow_select::interleave::interleave_record_batch(&batches, &places)?)
    }
}

/// The rows whose id is wanted, without copying the others.
fn matching(ids: &ArrayRef, wanted: &HashSet<&Id>) -> Vec<u32> {
    match ids.data_type() {
        DataType::Int64 => {
            let ids = ids.as_primitive::<Int64Type>().values();
            (0..)
                .zip(ids)
                .filter(|(_, id)| wanted.contains(&Id::Int(**id)))
                .map(|(r, _)| r)
                .collect()
        }
        _ => {
            let texts: HashSet<&str> = wanted
                .iter()
                .filter_map(|id| if let Id::Text(text) = id { Some(&**text) } else { None })
                .collect();
            let ids = ids.as_string::<i32>().iter();
            let hit = |id: Option<&str>| id.is_some_and(|id| texts.contains(id));
            (0..).zip(ids).filter(|(_, id)| hit(*id)).map(|(row, _)| row).collect()
        }
    }
}
