//! Binds `vector_search`: search over numpy arrays.

use std::borrow::Cow;

use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};

/// One vector or several, one after another; copied only where they do not lie so already.
pub(crate) fn rows<'a>(
    what: &str,
    array: &'a PyReadonlyArrayDyn<'_, f32>,
    dim: usize,
) -> Result<Cow<'a, [f32]>, String> {
    let shape = array.shape();
    if !matches!(*shape, [d] | [_, d] if d == dim) {
        return Err(format!("{what} is of shape {shape:?}; want ({dim},) or (any, {dim})"));
    }
    Ok(match array.as_slice() {
        Ok(values) if array.is_c_contiguous() => Cow::Borrowed(values),
        _ => Cow::Owned(array.as_array().iter().copied().collect()),
    })
}

/// Nearest neighbours among the rows of numpy arrays.
#[pyo3::pymodule]
#[pyo3(module = "aios_plugins._native")]
pub(crate) mod vector_search {
    use std::path::PathBuf;
    use std::sync::{PoisonError, RwLock};

    use ::vector_search as engine;
    use engine::exact::Options;
    use engine::hnsw::Settings;
    use engine::{Bitmap, Data, Neighbor, Vectors};
    use half::{bf16, f16};
    use numpy::{
        IntoPyArray, PyArray2, PyArrayDescrMethods, PyReadonlyArray1, PyReadonlyArray2,
        PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
    };
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;

    use super::rows;
    use crate::choices::metric;

    pyo3::create_exception!(
        aios_plugins._native.vector_search,
        VectorSearchError,
        PyValueError,
        "Vectors, queries or an index do not fit; the message says why."
    );

    type Found<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<i64>>);

    fn unfit(message: impl std::fmt::Display) -> PyErr {
        VectorSearchError::new_err(message.to_string())
    }

    /// An array of vectors that is borrowed while it is used.
    enum Array<'py> {
        F32(PyReadonlyArray2<'py, f32>),
        F16(PyReadonlyArray2<'py, f16>),
        Bf16(PyReadonlyArray2<'py, u16>),
        I8(PyReadonlyArray2<'py, i8>),
        Signs(PyReadonlyArray2<'py, u8>),
    }

    impl<'py> FromPyObject<'_, 'py> for Array<'py> {
        type Error = PyErr;

        fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
            let array = object.cast::<PyUntypedArray>()?;
            let dtype = array.dtype();
            match (dtype.kind(), dtype.itemsize()) {
                (b'f', 4) => object.extract().map(Self::F32).map_err(PyErr::from),
                (b'f', 2) => object.extract().map(Self::F16).map_err(PyErr::from),
                (b'u', 2) => object.extract().map(Self::Bf16).map_err(PyErr::from),
                (b'i', 1) => object.extract().map(Self::I8).map_err(PyErr::from),
                (b'u', 1) => object.extract().map(Self::Signs).map_err(PyErr::from),
                _ => Err(unfit(format!(
                    "vectors are of {dtype}; want float32, float16, int8, uint16 (bfloat16) or \
                     uint8 (packed signs)"
                ))),
            }
        }
    }

    impl Array<'_> {
        fn view(&self) -> PyResult<Vectors<'_>> {
            fn values<'a, T: numpy::Element>(
                array: &'a PyReadonlyArray2<'_, T>,
            ) -> PyResult<(&'a [T], usize)> {
                // Column by column is contiguous too.
                match array.as_slice() {
                    Ok(values) if array.is_c_contiguous() => Ok((values, array.shape()[1])),
                    _ => Err(unfit("vectors must be contiguous, row by row")),
                }
            }
            let (data, dim) = match self {
                Self::F32(x) => values(x).map(|(x, dim)| (Data::F32(x), dim))?,
                Self::F16(x) => values(x).map(|(x, dim)| (Data::F16(x), dim))?,
                Self::I8(x) => values(x).map(|(x, dim)| (Data::I8(x), dim))?,
                Self::Signs(x) => values(x).map(|(x, dim)| (Data::Binary(x), dim * 8))?,
                Self::Bf16(x) => {
                    let (x, dim) = values(x)?;
                    // SAFETY: bf16 is a transparent wrapper of u16, and every u16 is one.
                    let x =
                        unsafe { std::slice::from_raw_parts(x.as_ptr().cast::<bf16>(), x.len()) };
                    (Data::Bf16(x), dim)
                }
            };
            Vectors::new(data, dim).map_err(unfit)
        }
    }

    /// A filter as bits.
    fn bits(
        filter: Option<&PyReadonlyArray1<'_, bool>>,
        rows: usize,
    ) -> PyResult<Option<Vec<u64>>> {
        let Some(filter) = filter else { return Ok(None) };
        let filter = filter.as_array();
        if filter.len() != rows {
            let found = filter.len();
            return Err(unfit(format!("the filter has {found} values; there are {rows} rows")));
        }
        let mut words = vec![0; rows.div_ceil(64)];
        for (row, &keep) in filter.iter().enumerate() {
            words[row / 64] |= u64::from(keep) << (row % 64);
        }
        Ok(Some(words))
    }

    /// Results as two arrays of as many columns as any query found.
    fn arrays<'py>(py: Python<'py>, found: &[Vec<Neighbor>]) -> PyResult<Found<'py>> {
        let width = found.iter().map(Vec::len).max().unwrap_or_default();
        let mut distances = vec![f32::INFINITY; found.len() * width];
        let mut rows = vec![-1; found.len() * width];
        for (query, found) in found.iter().enumerate() {
            for (place, neighbor) in found.iter().enumerate() {
                distances[query * width + place] = neighbor.distance;
                rows[query * width + place] = i64::from(neighbor.row);
            }
        }
        let shape = [found.len(), width];
        let shaped = |e: PyErr| e;
        Ok((
            numpy::PyArrayMethods::reshape(&distances.into_pyarray(py), shape).map_err(shaped)?,
            numpy::PyArrayMethods::reshape(&rows.into_pyarray(py), shape).map_err(shaped)?,
        ))
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
