//! Binds `arrow_storage`: stores, and how their errors look from Python.

/// An embedded store of Arrow rows with vectors.
#[pyo3::pymodule]
#[pyo3(module = "aios_plugins._native")]
pub(crate) mod arrow_storage {
    use std::path::PathBuf;
    use std::sync::{PoisonError, RwLock};

    use ::arrow_storage as engine;
    use engine::{Columns, Error, Options};
    use pyo3::exceptions::PyException;
    use pyo3::prelude::*;
    use pyo3::types::PyDict;
    use pyo3_arrow::PySchema;
    use pyo3_arrow::input::AnyRecordBatch;

    use crate::choices::{compaction, durability, metric, metric_name};
    use crate::snapshot::{batch, filter, ids, into_pyarrow};

    pyo3::create_exception!(
        aios_plugins._native.arrow_storage,
        ArrowStorageError,
        PyException,
        "A store cannot be made, opened, read or written; the message says why, `kind` which."
    );

    #[pymodule_export]
    use crate::snapshot::Snapshot;

    /// The words of a text, as texts are searched by; `query`: of what is searched for.
    #[pyfunction]
    #[pyo3(signature = (text, *, query = false))]
    fn words(text: &str, query: bool) -> Vec<String> {
        engine::words(text, query)
    }

    /// An exception of a kind that a program can tell.
    pub(crate) fn raise(kind: &str, message: String) -> PyErr {
        let error = ArrowStorageError::new_err(message);
        let set = Python::attach(|py| error.value(py).setattr("kind", kind));
        set.err().unwrap_or(error)
    }

    pub(crate) fn error(error: Error) -> PyErr {
        raise(error.kind(), error.to_string())
    }

    /// A store that is open, in this process or for reading.
    #[pyclass(frozen)]
    struct Store {
        store: RwLock<Option<engine::Store>>,
        /// That opened it.
        process: u32,
    }

    impl Store {
        fn of(store: engine::Store) -> Self {
            Self { store: RwLock::new(Some(store)), process: std::process::id() }
        }

        /// A forked process has a copy of what threads of its parent may have been changing.
        fn check_process(&self) -> PyResult<()> {
            match self.process {
                process if process == std::process::id() => Ok(()),
                process => Err(error(Error::Forked { process })),
            }
        }

        /// Work on the open store while other threads of Python run.
        fn with<T: Send>(
            &self,
            py: Python<'_>,
            work: impl FnOnce(&engine::Store) -> engine::Result<T> + Send,
        ) -> PyResult<T> {
            self.check_process()?;
            py.detach(|| {
                let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
                let store = store.as_ref().ok_or_else(|| raise("closed", CLOSED.into()))?;
                work(store).map_err(error)
            })
        }
    }

    const CLOSED: &str = "the store is closed; open it again";

    #[pymethods]
    impl Store {
        /// Makes a store in a folder that is empty or not there yet.
        #[staticmethod]
        #[pyo3(signature = (
            path, schema, *, metric = "cosine", id = "id", vector = "vector",
            durability = "commit", flush_bytes = 67_108_864,
            compaction = "background"
        ))]
        #[expect(clippy::too_many_arguments, reason = "all but two have a default")]
        fn create(
            py: Python<'_>,
            path: PathBuf,
            schema: PySchema,
            metric: &str,
            id: &str,
            vector: &str,
            durability: &str,
            flush_bytes: u64,
            compaction: &str,
        ) -> PyResult<Self> {
            let metric = self::metric(metric).map_err(|e| raise("schema", e))?;
            let columns = Columns { id: id.to_owned(), vector: vector.to_owned() };
            let options = options(durability, flush_bytes, compaction)?;
            let schema = schema.into_inner();
            py.detach(|| engine::Store::create(&path, schema, columns, metric, options))
                .map(Self::of)
                .map_err(error)
        }

        /// Opens a store.
        #[staticmethod]
        #[pyo3(signature = (
            path, *, read_only = false, durability = "commit", flush_bytes = 67_108_864,
            compaction = "background"
        ))]
        fn open(
            py: Python<'_>,
            path: PathBuf,
            read_only: bool,
            durability: &str,
            flush_bytes: u64,
            compaction: &str,
        ) -> PyResult<Self> {
            let options = options(durability, flush_bytes, compaction)?;
            let open = if read_only { engine::Store::open_read_only } else { engine::Store::open };
            py.detach(|| open(&path, options)).map(Self::of).map_err(error)
        }

        /// Reads everything back and checks it, whether or not the store is open.
        #[staticmethod]
        fn verify(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
            let report = py.detach(|| engine::Store::verify(&path)).map_err(error)?;
            dict(py, report)
        }

        #[getter]
        fn path(&self, py: Python<'_>) -> PyResult<String> {
            self.with(py, |store| Ok(store.folder().to_string_lossy().into_owned()))
        }

        #[getter]
        fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
            let schema = self.with(py, |store| Ok(store.snapshot().schema().clone()))?;
            PySchema::new(schema).into_pyarrow(py)
        }

        #[getter]
        fn metric(&self, py: Python<'_>) -> PyResult<&'static str> {
            self.with(py, |store| Ok(metric_name(store.snapshot().metric())))
        }

        #[getter]
        fn id(&self, py: Python<'_>) -> PyResult<String> {
            self.with(py, |store| Ok(store.snapshot().columns().id.clone()))
        }

        #[getter]
        fn vector(&self, py: Python<'_>) -> PyResult<String> {
            self.with(py, |store| Ok(store.snapshot().columns().vector.clone()))
        }

        #[getter]
        fn read_only(&self, py: Python<'_>) -> PyResult<bool> {
            self.with(py, |store| Ok(store.is_read_only()))
        }

        /// Adds rows of new ids, all of them or none; returns how many.
        fn add(&self, py: Python<'_>, rows: AnyRecordBatch) -> PyResult<usize> {
            let rows = batch(py, rows)?;
            self.with(py, |store| store.add(&rows))
        }

        /// Adds rows, replacing those of the same ids; returns how many.
        fn upsert(&self, py: Python<'_>, rows: AnyRecordBatch) -> PyResult<usize> {
            let rows = batch(py, rows)?;
            self.with(py, |store| store.upsert(&rows))
        }

        /// Deletes rows by id; returns how many there were.
        fn delete(&self, py: Python<'_>, ids: Vec<Bound<'_, PyAny>>) -> PyResult<usize> {
            let ids = self::ids(&ids)?;
            self.with(py, |store| store.delete(&ids))
        }

        /// Deletes the rows that a filter takes; returns how many there were.
        fn delete_where(&self, py: Python<'_>, filter: &str) -> PyResult<usize> {
            let filter = self::filter(filter)?;
            self.with(py, |store| store.delete_where(&filter))
        }

        /// The rows of some ids, in their order; ids that are not there are passed over.
        fn get<'py>(
            &self,
            py: Python<'py>,
            ids: Vec<Bound<'py, PyAny>>,
        ) -> PyResult<Bound<'py, PyAny>> {
            let ids = self::ids(&ids)?;
            into_pyarrow(py, self.with(py, |store| store.get(&ids))?)
        }

        /// A view that never changes, whatever is written later.
        fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
            self.with(py, |store| Ok(Snapshot(store.snapshot())))
        }

        /// Sees what another process has written since; nothing to do for the writer itself.
        fn refresh(&self, py: Python<'_>) -> PyResult<()> {
            self.with(py, engine::Store::refresh)
        }

        /// Returns once everything written is on disk.
        fn sync(&self, py: Python<'_>) -> PyResult<()> {
            self.with(py, engine::Store::sync)
        }

        /// Moves the log into a segment.
        fn flush(&self, py: Python<'_>) -> PyResult<()> {
            self.with(py, engine::Store::flush)
        }

        /// Joins segments that have become small or half dead.
        fn optimize(&self, py: Python<'_>) -> PyResult<()> {
            self.with(py, engine::Store::optimize)
        }

        /// Rewrites everything as one segment without deleted rows.
        fn compact(&self, py: Python<'_>) -> PyResult<()> {
            self.with(py, engine::Store::compact)
        }

        /// Builds a graph for approximate search over the segments.
        fn create_index(&self, py: Python<'_>) -> PyResult<()> {
            self.with(py, engine::Store::create_index)
        }

        /// Writes all rows as a store of its own in a new folder.
        fn save_snapshot(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
            self.with(py, |store| store.save_snapshot(&path))
        }

        /// Replaces all rows by those of a snapshot.
        fn restore_snapshot(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
            self.with(py, |store| store.restore_snapshot(&path))
        }

        /// What the store consists of.
        fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
            let stats = self.with(py, |store| Ok((store.stats()?, store.indexed())));
            let (report, indexed) = stats?;
            let dict = dict(py, report)?;
            dict.set_item("indexed", indexed)?;
            Ok(dict)
        }

        /// In a forked process, where the store has to be opened again: lets go of the lock's copy,
        /// so that the lock ends with the process that took it.
        fn let_go(&self) {
            if let Ok(store) = self.store.try_read()
                && let Some(store) = &*store
            {
                store.let_go();
            }
        }

        /// Marks a clean end; a second time nothing happens, nor does in a forked process.
        fn close(&self, py: Python<'_>) -> PyResult<()> {
            if self.check_process().is_err() {
                return Ok(());
            }
            py.detach(|| {
                let store = self.store.write().unwrap_or_else(PoisonError::into_inner).take();
                store.map_or(Ok(()), engine::Store::close).map_err(error)
            })
        }
    }

    fn options(durability: &str, flush_bytes: u64, compaction: &str) -> PyResult<Options> {
        let durability = self::durability(durability).map_err(|e| raise("schema", e))?;
        let compaction = self::compaction(compaction).map_err(|e| raise("schema", e))?;
        Ok(Options { durability, flush_bytes, compaction })
    }

    fn dict(py: Python<'_>, report: engine::Report) -> PyResult<Bound<'_, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("rows", report.rows)?;
        dict.set_item("dead", report.dead)?;
        dict.set_item("segments", report.segments)?;
        dict.set_item("bytes", report.bytes)?;
        Ok(dict)
    }

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        let error = m.py().get_type::<ArrowStorageError>();
        error.setattr("kind", "")?;
        m.add("ArrowStorageError", error)
    }
}
