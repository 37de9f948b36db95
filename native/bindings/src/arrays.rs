//! Numpy arrays as vectors, queries and filters; results as numpy arrays.

use std::borrow::Cow;

use ::vector_search::{Data, Neighbor, Vectors};
use half::f16;
use half::slice::HalfBitsSliceExt;
use numpy::{
    IntoPyArray, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use crate::vectors::vector_search::unfit;

/// Distances and rows.
pub(crate) type Found<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<i64>>);

/// One vector or several, one after another; copied only where they do not lie so already.
pub(crate) fn rows<'a>(
    what: &str,
    array: &'a PyReadonlyArrayDyn<'_, f32>,
    dim: usize,
) -> Result<Cow<'a, [f32]>, String> {
    let shape = array.shape();
    if !matches!(*shape, [d] | [_, d] if d == dim) {
        return Err(format!("{what}: expected shape ({dim},) or (any, {dim}), got {shape:?}"));
    }
    Ok(match array.as_slice() {
        Ok(values) if array.is_c_contiguous() => Cow::Borrowed(values),
        _ => Cow::Owned(array.as_array().iter().copied().collect()),
    })
}

/// An array of vectors that is borrowed while it is used.
pub(crate) enum Array<'py> {
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
            (b'f', 4) => object.extract().map(Self::F32),
            (b'f', 2) => object.extract().map(Self::F16),
            (b'u', 2) => object.extract().map(Self::Bf16),
            (b'i', 1) => object.extract().map(Self::I8),
            (b'u', 1) => object.extract().map(Self::Signs),
            _ => Err(unfit(format!(
                "vectors: expected float32, float16, int8, uint16 (bfloat16) or uint8 (packed \
                 signs), got {dtype}"
            ))),
        }
    }
}

impl Array<'_> {
    pub(crate) fn view(&self) -> PyResult<Vectors<'_>> {
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
                (Data::Bf16(x.reinterpret_cast()), dim)
            }
        };
        Vectors::new(data, dim).map_err(unfit)
    }
}

/// A filter as bits.
pub(crate) fn bits(
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
pub(crate) fn arrays<'py>(py: Python<'py>, found: &[Vec<Neighbor>]) -> PyResult<Found<'py>> {
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
    Ok((distances.into_pyarray(py).reshape(shape)?, rows.into_pyarray(py).reshape(shape)?))
}
