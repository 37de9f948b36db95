//! Binds `vector_search`: search over numpy arrays.

/// Nearest neighbours among the rows of numpy arrays.
#[pyo3::pymodule]
#[pyo3(module = "aios_plugins._native")]
pub(crate) mod vector_search {
    use std::path::PathBuf;
    use std::sync::{PoisonError, RwLock};

    use ::vector_search as engine;
    use engine::Bitmap;
    use engine::exact::Options;
    use engine::hnsw::Settings;
    use numpy::{PyReadonlyArray1, PyReadonlyArrayDyn};
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;

    use crate::arrays::{Array, Found, arrays, bits, rows};
    use crate::choices::metric;

    pyo3::create_exception!(
        aios_plugins._native.vector_search,
        VectorSearchError,
        PyValueError,
        "Vectors, queries or an index do not fit; the message says why."
    );

    pub(crate) fn unfit(message: impl std::fmt::Display) -> PyErr {
        VectorSearchError::new_err(message.to_string())
    }

    /// The instruction set in use.
    #[pyfunction]
    fn level() -> &'static str {
        engine::kernel::Level::best().name()
    }

    /// Exact search.
    #[pyfunction]
    #[pyo3(signature = (vectors, queries, k, *, metric = "cosine", filter = None))]
    fn top_k<'py>(
        py: Python<'py>,
        vectors: Array<'py>,
        queries: PyReadonlyArrayDyn<'py, f32>,
        k: usize,
        metric: &str,
        filter: Option<PyReadonlyArray1<'py, bool>>,
    ) -> PyResult<Found<'py>> {
        let vectors = vectors.view()?;
        let queries = rows("queries", &queries, vectors.dim()).map_err(unfit)?;
        let words = bits(filter.as_ref(), vectors.len())?;
        let options = Options::new(self::metric(metric).map_err(unfit)?, k)
            .filtered(words.as_deref().map(Bitmap::new));
        let found = py.detach(|| {
            if queries.len() == vectors.dim() {
                engine::search(&vectors, &queries, &options).map(|found| vec![found])
            } else {
                engine::search_batch(&vectors, &queries, &options)
            }
        });
        arrays(py, &found.map_err(unfit)?)
    }

    /// One byte a value, to find candidates whose exact distances decide.
    #[pyclass(frozen)]
    struct Int8Codes(engine::Int8Codes);

    #[pymethods]
    impl Int8Codes {
        /// Encodes all rows.
        #[new]
        #[pyo3(signature = (vectors, *, metric = "cosine"))]
        fn new(py: Python<'_>, vectors: Array<'_>, metric: &str) -> PyResult<Self> {
            let (vectors, metric) = (vectors.view()?, self::metric(metric).map_err(unfit)?);
            py.detach(|| engine::Int8Codes::encode(&vectors, metric)).map(Self).map_err(unfit)
        }

        fn __len__(&self) -> usize {
            self.0.len()
        }

        /// Scans the codes for candidates, then finds the exact nearest of them.
        #[pyo3(signature = (vectors, queries, k, *, candidates = None, filter = None))]
        fn search<'py>(
            &self,
            py: Python<'py>,
            vectors: Array<'py>,
            queries: PyReadonlyArrayDyn<'py, f32>,
            k: usize,
            candidates: Option<usize>,
            filter: Option<PyReadonlyArray1<'py, bool>>,
        ) -> PyResult<Found<'py>> {
            let vectors = vectors.view()?;
            let queries = rows("queries", &queries, vectors.dim()).map_err(unfit)?;
            let words = bits(filter.as_ref(), vectors.len())?;
            let options =
                Options::new(self.0.metric(), k).filtered(words.as_deref().map(Bitmap::new));
            let wide = candidates.unwrap_or_else(|| k.saturating_mul(2).saturating_add(20));
            let found = py.detach(|| {
                let search = |query| self.0.search(&vectors, query, wide, &options);
                queries.chunks(vectors.dim()).map(search).collect::<engine::Result<Vec<_>>>()
            });
            arrays(py, &found.map_err(unfit)?)
        }
    }

    /// A navigable graph over int8 codes, re-scored exactly.
    #[pyclass(frozen)]
    struct Hnsw(RwLock<engine::Hnsw>);

    #[pymethods]
    impl Hnsw {
        /// A graph without rows.
        #[new]
        #[pyo3(signature = (dim, *, metric = "cosine", degree = 16, build_width = 100))]
        fn new(dim: usize, metric: &str, degree: usize, build_width: usize) -> PyResult<Self> {
            let metric = self::metric(metric).map_err(unfit)?;
            let graph = engine::Hnsw::new(metric, dim, Settings { degree, build_width });
            graph.map(|graph| Self(RwLock::new(graph))).map_err(unfit)
        }

        /// Reads a graph from a file.
        #[staticmethod]
        fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
            let graph = py.detach(|| engine::Hnsw::load(&path));
            let named = |e| unfit(format!("{}: {e}", path.display()));
            graph.map(|graph| Self(RwLock::new(graph))).map_err(named)
        }

        /// Writes the graph to a file, which is replaced as a whole.
        fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
            py.detach(|| self.write().save(&path))
                .map_err(|e| unfit(format!("{}: {e}", path.display())))
        }

        fn __len__(&self, py: Python<'_>) -> usize {
            py.detach(|| self.read().len())
        }

        /// Inserts rows of `vectors`, in parallel.
        fn insert(
            &self,
            py: Python<'_>,
            vectors: Array<'_>,
            rows: PyReadonlyArray1<'_, u32>,
        ) -> PyResult<()> {
            let (vectors, rows) = (vectors.view()?, rows.as_array().to_vec());
            py.detach(|| self.write().insert(&vectors, &rows)).map_err(unfit)
        }

        /// Removes rows; returns how many were there.
        fn remove(&self, py: Python<'_>, rows: PyReadonlyArray1<'_, u32>) -> usize {
            let rows = rows.as_array().to_vec();
            py.detach(|| self.write().remove(&rows))
        }

        /// Walks the graph, then finds the exact nearest of what it met.
        #[pyo3(signature = (vectors, queries, k, *, width = 64, filter = None))]
        fn search<'py>(
            &self,
            py: Python<'py>,
            vectors: Array<'py>,
            queries: PyReadonlyArrayDyn<'py, f32>,
            k: usize,
            width: usize,
            filter: Option<PyReadonlyArray1<'py, bool>>,
        ) -> PyResult<Found<'py>> {
            let vectors = vectors.view()?;
            let queries = rows("queries", &queries, vectors.dim()).map_err(unfit)?;
            let words = bits(filter.as_ref(), vectors.len())?;
            let found = py.detach(|| {
                let (graph, filter) = (self.read(), words.as_deref().map(Bitmap::new));
                let search = |query| graph.search(&vectors, query, k, width, filter);
                queries.chunks(vectors.dim()).map(search).collect::<engine::Result<Vec<_>>>()
            });
            arrays(py, &found.map_err(unfit)?)
        }
    }

    impl Hnsw {
        fn read(&self) -> std::sync::RwLockReadGuard<'_, engine::Hnsw> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        fn write(&self) -> std::sync::RwLockWriteGuard<'_, engine::Hnsw> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("VectorSearchError", m.py().get_type::<VectorSearchError>())
    }
}
