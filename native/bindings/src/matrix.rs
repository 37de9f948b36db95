//! Binds packed matrices.

use ::arrow_quant as engine;
use engine::{Quality, Scheme};
use numpy::ndarray::ArrayView1;
use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;

use crate::choices;
use crate::quant::arrow_quant::{error, problem};
use crate::schemes::{group_size, scheme};
use crate::weights::{values, with_weight};

/// A matrix of quantized weights, as it is packed.
///
/// It pickles by content.
#[pyclass(frozen, module = "aios_plugins._native.arrow_quant")]
pub(crate) struct QuantizedMatrix {
    scheme: Scheme,
    shape: (usize, usize),
    bytes: Bytes,
}

enum Bytes {
    Owned(engine::QuantizedMatrix<'static>),
    /// Codes and parameters; both contiguous, with the lengths that the shape demands.
    Borrowed(PyBuffer<u8>, PyBuffer<u8>),
}

type View<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<u8>>, Bound<'py, PyArray1<u8>>, Fields);
type Fields = ((usize, usize), u8, i64, bool, &'static str);

/// The bytes of a buffer.
///
/// Python's docs of `from_buffers` demand that nothing writes to them while the matrix is there.
fn slice(buffer: &PyBuffer<u8>) -> PyResult<&[u8]> {
    let bytes = buffer.as_slice_ptr();
    let bytes =
        bytes.ok_or_else(|| problem("expected a buffer in one piece, got one with gaps".into()))?;
    // SAFETY: `as_slice_ptr` returns a pointer only to a contiguous buffer, which stays where it is
    // while `buffer` holds it, and the slice borrows `buffer`. Nobody writes to it (contract of
    // `from_buffers`, in its docs); every bit pattern is a `u8`.
    Ok(unsafe { bytes.as_ref() })
}

impl QuantizedMatrix {
    fn owned(matrix: engine::QuantizedMatrix<'static>) -> Self {
        let geometry = matrix.geometry();
        let shape = (geometry.rows, geometry.columns);
        Self { scheme: geometry.scheme, shape, bytes: Bytes::Owned(matrix) }
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&engine::QuantizedMatrix<'_>) -> PyResult<T>,
    ) -> PyResult<T> {
        match &self.bytes {
            Bytes::Owned(matrix) => work(matrix),
            Bytes::Borrowed(codes, params) => {
                let (codes, params) = (slice(codes)?, slice(params)?);
                let (rows, columns) = self.shape;
                work(
                    &engine::QuantizedMatrix::new(self.scheme, rows, columns, codes, params)
                        .map_err(error)?,
                )
            }
        }
    }

    /// A read-only array of some of the bytes.
    fn view<'py>(
        slf: &Bound<'py, Self>,
        of: for<'a> fn(&'a engine::QuantizedMatrix<'_>) -> &'a [u8],
    ) -> PyResult<Bound<'py, PyArray1<u8>>> {
        slf.get().with(|matrix| {
            let bytes = ArrayView1::from(of(matrix));
            // SAFETY: `bytes` are of the matrix, or of a buffer that it holds, and stay where they
            // are, for `QuantizedMatrix` is frozen; the array holds `slf`, and so the matrix. It is
            // made read-only below before anyone else has it.
            let array = unsafe { PyArray1::borrow_from_array(&bytes, slf.clone().into_any()) };
            array.readwrite().make_nonwriteable();
            Ok(array)
        })
    }
}

#[pymethods]
impl QuantizedMatrix {
    /// Quantizes a matrix of float32, float16 or, for bfloat16, uint16.
    #[staticmethod]
    #[pyo3(signature = (weight, *, bits = 4, group_size = 64, symmetric = false,
        param_format = "f16", quality = "search", importance = None, hessian = None, threads = 0))]
    #[expect(clippy::too_many_arguments, reason = "all but the first are by name")]
    fn quantize(
        py: Python<'_>,
        weight: &Bound<'_, PyAny>,
        bits: u8,
        group_size: i64,
        symmetric: bool,
        param_format: &str,
        quality: &str,
        importance: Option<PyReadonlyArray1<'_, f32>>,
        hessian: Option<PyReadonlyArray2<'_, f64>>,
        threads: usize,
    ) -> PyResult<Self> {
        let scheme = scheme(bits, group_size, symmetric, param_format)?;
        let importance = importance.as_ref().map(|h| values("importance", h));
        let hessian = hessian.as_ref().map(|h| values("hessian", h));
        let quality = match (quality, importance.transpose()?, hessian.transpose()?) {
            ("fast", None, None) => Quality::Fast,
            ("search", importance, None) => Quality::Search(importance),
            ("calibrated", None, Some(hessian)) => Quality::Calibrated(hessian),
            _ => {
                let message = format!(
                    "quality: expected \"fast\", \"search\" with or without importance, or \
                     \"calibrated\" with a hessian, got {quality:?}"
                );
                return Err(problem(message));
            }
        };
        with_weight(weight, |weight| {
            py.detach(|| engine::quantize(weight, scheme, quality, threads))
                .map(Self::owned)
                .map_err(error)
        })
    }

    /// A matrix from packed bytes, which it borrows: nobody may change them while it is there.
    #[staticmethod]
    #[pyo3(signature = (codes, params, *, shape, bits, group_size, symmetric, param_format))]
    fn from_buffers(
        codes: PyBuffer<u8>,
        params: PyBuffer<u8>,
        shape: (usize, usize),
        bits: u8,
        group_size: i64,
        symmetric: bool,
        param_format: &str,
    ) -> PyResult<Self> {
        let scheme = scheme(bits, group_size, symmetric, param_format)?;
        let matrix = Self { scheme, shape, bytes: Bytes::Borrowed(codes, params) };
        matrix.with(|_| Ok(()))?;
        Ok(matrix)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, View<'py>)> {
        let matrix = slf.get();
        let fields = (
            matrix.shape,
            matrix.bits(),
            matrix.group_size(),
            matrix.symmetric(),
            matrix.param_format(),
        );
        let class = slf.get_type().into_any();
        let state = (class, Self::codes(slf)?, Self::params(slf)?, fields);
        Ok((slf.get_type().getattr("_rebuild")?, state))
    }

    #[staticmethod]
    fn _rebuild(
        _class: &Bound<'_, PyAny>,
        codes: PyBuffer<u8>,
        params: PyBuffer<u8>,
        fields: ((usize, usize), u8, i64, bool, String),
    ) -> PyResult<Self> {
        let (shape, bits, group_size, symmetric, param_format) = fields;
        Self::from_buffers(codes, params, shape, bits, group_size, symmetric, &param_format)
    }

    /// Rows and columns.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// Bits of a code.
    #[getter]
    fn bits(&self) -> u8 {
        self.scheme.bits()
    }

    /// Columns that share a scale, -1 for a whole row.
    #[getter]
    fn group_size(&self) -> i64 {
        group_size(self.scheme)
    }

    /// Whether zero is always a code's value.
    #[getter]
    fn symmetric(&self) -> bool {
        self.scheme.symmetric()
    }

    /// How scales and minima are kept; `+e8` where each row has an exponent too.
    #[getter]
    fn param_format(&self) -> &'static str {
        choices::param_format_name(self.scheme)
    }

    /// The packed codes.
    #[getter]
    fn codes<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray1<u8>>> {
        Self::view(slf, |matrix| matrix.codes())
    }

    /// The packed scales and minima, and the exponents.
    #[getter]
    fn params<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray1<u8>>> {
        Self::view(slf, |matrix| matrix.params())
    }

    /// Bytes of both.
    #[getter]
    fn nbytes(&self) -> PyResult<usize> {
        self.with(|matrix| Ok(matrix.codes().len() + matrix.params().len()))
    }

    /// All that is stored, by the number of weights.
    #[getter]
    fn bits_per_weight(&self) -> PyResult<f64> {
        self.with(|matrix| Ok(matrix.bits_per_weight()))
    }

    /// The weights as float32.
    #[pyo3(signature = (*, threads = 0))]
    fn dequantize<'py>(
        &self,
        py: Python<'py>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let mut out = vec![0.0; self.shape.0 * self.shape.1];
        self.with(|matrix| {
            py.detach(|| engine::dequantize(matrix, &mut out, threads)).map_err(error)
        })?;
        PyArray1::from_vec(py, out).reshape([self.shape.0, self.shape.1])
    }

    /// Squared error over squared norm.
    #[pyo3(signature = (weight, *, importance = None, threads = 0))]
    fn relative_error(
        &self,
        py: Python<'_>,
        weight: &Bound<'_, PyAny>,
        importance: Option<PyReadonlyArray1<'_, f32>>,
        threads: usize,
    ) -> PyResult<f64> {
        let importance = importance.as_ref().map(|h| values("importance", h));
        let importance = importance.transpose()?;
        with_weight(weight, |weight| {
            self.with(|matrix| {
                py.detach(|| engine::relative_error(matrix, weight, importance, threads))
                    .map_err(error)
            })
        })
    }

    /// `x W^T`.
    #[pyo3(signature = (x, *, activations = "int8", out = None, threads = 0, instructions = None))]
    fn linear<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f32>,
        activations: &str,
        out: Option<Bound<'py, PyArray2<f32>>>,
        threads: usize,
        instructions: Option<&str>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let level = instructions.map_or_else(|| Ok(engine::Level::best()), choices::instructions);
        let level = level.map_err(problem)?;
        let activations = choices::activations(activations).map_err(problem)?;
        let (batch, (rows, columns)) = (x.shape()[0], self.shape);
        if columns != x.shape()[1] {
            let found = x.shape()[1];
            let message = format!("x has {found} columns; expected the weight's {columns}");
            return Err(problem(message));
        }
        let out = out.unwrap_or_else(|| PyArray2::zeros(py, [batch, rows], false));
        if out.shape() != [batch, rows] || !out.is_c_contiguous() {
            let message =
                format!("out is {:?}; expected {:?}, C-contiguous", out.shape(), [batch, rows]);
            return Err(problem(message));
        }
        let mut written = out.try_readwrite()?;
        let (x, y) = (
            values("x", &x)?,
            written.as_slice_mut().map_err(|_| problem("out is not C-contiguous".into()))?,
        );
        self.with(|matrix| {
            py.detach(|| {
                engine::linear::linear_at(matrix, x, batch, activations, y, threads, level)
            })
            .map_err(error)
        })?;
        drop(written);
        Ok(out)
    }
}
