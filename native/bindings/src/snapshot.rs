//! Binds the reading half of `arrow_storage`; rows reach Python without being copied.

use std::path::PathBuf;

use ::arrow_storage as engine;
use arrow_array::{RecordBatch, RecordBatchIterator};
use arrow_schema::ArrowError;
use engine::{Filter, Id, Query};
use numpy::PyReadonlyArrayDyn;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::input::AnyRecordBatch;
use pyo3_arrow::{PyRecordBatch, PyRecordBatchReader, PySchema};

use crate::arrays::rows;
use crate::choices::metric_name;
use crate::store::arrow_storage::{error, raise};

/// The rows as they were at one moment.
#[pyclass(frozen, module = "aios_plugins._native.arrow_storage")]
pub(crate) struct Snapshot(pub(crate) engine::Snapshot);

#[pymethods]
impl Snapshot {
    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        PySchema::new(self.0.schema().clone()).into_pyarrow(py)
    }

    #[getter]
    fn metric(&self) -> &'static str {
        metric_name(self.0.metric())
    }

    /// How many rows there are, or how many of them a filter takes.
    #[pyo3(signature = (filter = None))]
    fn count(&self, py: Python<'_>, filter: Option<&str>) -> PyResult<usize> {
        let Some(filter) = maybe(filter)? else { return Ok(self.0.count()) };
        py.detach(|| self.0.count_where(&filter)).map_err(error)
    }

    /// The nearest rows of each vector, nearest first.
    #[pyo3(signature = (vectors, k, *, filter = None, columns = None, width = None))]
    fn search<'py>(
        &self,
        py: Python<'py>,
        vectors: PyReadonlyArrayDyn<'py, f32>,
        k: usize,
        filter: Option<&str>,
        columns: Option<Vec<String>>,
        width: Option<usize>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let vectors = rows("vectors", &vectors, self.0.dimension());
        let vectors = vectors.map_err(|e| raise("search", e))?;
        let (filter, columns) = (maybe(filter)?, columns.as_deref().map(names));
        let query = Query { k, filter: filter.as_ref(), columns: columns.as_deref(), width };
        let found = py.detach(|| self.0.search_batch(&vectors, &query)).map_err(error)?;
        found.into_iter().map(|batch| into_pyarrow(py, batch)).collect()
    }

    /// Rows whose text has words of the query, the best first.
    #[pyo3(signature = (text, k, *, column = "text", filter = None, columns = None))]
    fn search_text<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        k: usize,
        column: &str,
        filter: Option<&str>,
        columns: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (filter, columns) = (maybe(filter)?, columns.as_deref().map(names));
        let columns = columns.as_deref();
        let query = Query { k, filter: filter.as_ref(), columns, width: None };
        let found = py.detach(|| self.0.search_text(column, text, &query)).map_err(error)?;
        into_pyarrow(py, found)
    }

    /// The best rows by vector and by words together.
    #[pyo3(signature = (
        vector, text, k, *, column = "text", filter = None, columns = None, width = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "all but three have a default")]
    fn search_hybrid<'py>(
        &self,
        py: Python<'py>,
        vector: PyReadonlyArrayDyn<'py, f32>,
        text: &str,
        k: usize,
        column: &str,
        filter: Option<&str>,
        columns: Option<Vec<String>>,
        width: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let vector = rows("vector", &vector, self.0.dimension());
        let vector = vector.map_err(|e| raise("search", e))?;
        let (filter, columns) = (maybe(filter)?, columns.as_deref().map(names));
        let query = Query { k, filter: filter.as_ref(), columns: columns.as_deref(), width };
        let found = py.detach(|| self.0.search_hybrid(&vector, column, text, &query));
        into_pyarrow(py, found.map_err(error)?)
    }

    /// The rows that a filter takes, batch by batch.
    #[pyo3(signature = (*, filter = None, columns = None))]
    fn batches<'py>(
        &self,
        py: Python<'py>,
        filter: Option<&str>,
        columns: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let columns = columns.as_deref().map(names);
        let (schema, batches) = self.0.select(maybe(filter)?, columns.as_deref()).map_err(error)?;
        let reader = RecordBatchIterator::new(batches.map(|b| b.map_err(external)), schema);
        PyRecordBatchReader::new(Box::new(reader)).into_pyarrow(py)
    }

    /// Writes the rows that a filter takes to a Parquet file; returns how many.
    #[pyo3(signature = (path, *, filter = None, columns = None))]
    fn export_parquet(
        &self,
        py: Python<'_>,
        path: PathBuf,
        filter: Option<&str>,
        columns: Option<Vec<String>>,
    ) -> PyResult<usize> {
        let (filter, columns) = (maybe(filter)?, columns.as_deref().map(names));
        py.detach(|| self.0.export_parquet(&path, filter, columns.as_deref())).map_err(error)
    }
}

/// The filter of a text.
pub(crate) fn filter(text: &str) -> PyResult<Filter> {
    Filter::parse(text).map_err(error)
}

fn maybe(text: Option<&str>) -> PyResult<Option<Filter>> {
    text.map(filter).transpose()
}

fn names(columns: &[String]) -> Vec<&str> {
    columns.iter().map(String::as_str).collect()
}

fn external(error: engine::Error) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

/// A batch as pyarrow knows it, of the same memory.
pub(crate) fn into_pyarrow(py: Python<'_>, batch: RecordBatch) -> PyResult<Bound<'_, PyAny>> {
    PyRecordBatch::new(batch).into_pyarrow(py)
}

/// What Python passes as rows, as one batch of our own: a numpy array under Arrow can change later,
/// and a store must keep what it wrote.
pub(crate) fn batch(py: Python<'_>, rows: AnyRecordBatch) -> PyResult<RecordBatch> {
    let reader = rows.into_reader()?;
    let joined = py.detach(|| {
        let schema = reader.schema();
        let mut batches = reader.collect::<Result<Vec<_>, _>>()?;
        // One batch by itself would be borrowed.
        batches.push(RecordBatch::new_empty(schema.clone()));
        arrow_select::concat::concat_batches(&schema, &batches)
    });
    joined.map_err(|e: ArrowError| error(e.into()))
}

/// Numbers or texts, as ids.
pub(crate) fn ids(values: &[Bound<'_, PyAny>]) -> PyResult<Vec<Id>> {
    let id = |value: &Bound<'_, PyAny>| {
        if let Ok(text) = value.extract::<&str>() {
            return Ok(Id::from(text));
        }
        value.extract::<i64>().map(Id::from).map_err(|_| {
            PyTypeError::new_err(format!(
                "expected an id, an integer of 64 bits or a text, got {value}"
            ))
        })
    };
    values.iter().map(id).collect()
}
