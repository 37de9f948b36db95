//! Numpy arrays as weights, and as what belongs to them.

use arrow_quant::{Values, Weight};
use half::slice::HalfBitsSliceExt;
use numpy::ndarray::Dimension;
use numpy::{Element, PyReadonlyArray, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::quant::arrow_quant::{error, problem};

/// The values of an array, one row after another.
pub(crate) fn values<'a, T: Element, D: Dimension>(
    what: &str,
    array: &'a PyReadonlyArray<'_, T, D>,
) -> PyResult<&'a [T]> {
    // Numpy counts an array whose columns come one after another as contiguous too.
    let slice = array.as_slice().ok().filter(|_| array.is_c_contiguous());
    slice.ok_or_else(|| {
        problem(format!("{what} is not C-contiguous; pass numpy.ascontiguousarray of it"))
    })
}

/// Do something with a weight of any of the three types.
pub(crate) fn with_weight<T>(
    weight: &Bound<'_, PyAny>,
    work: impl FnOnce(&Weight<'_>) -> PyResult<T>,
) -> PyResult<T> {
    let view = |values, shape: &[usize]| Weight::new(values, shape[0], shape[1]).map_err(error);
    if let Ok(array) = weight.extract::<PyReadonlyArray2<'_, f32>>() {
        work(&view(Values::F32(values("weight", &array)?), array.shape())?)
    } else if let Ok(array) = weight.extract::<PyReadonlyArray2<'_, half::f16>>() {
        work(&view(Values::F16(values("weight", &array)?), array.shape())?)
    } else if let Ok(array) = weight.extract::<PyReadonlyArray2<'_, u16>>() {
        let bits = values("weight", &array)?;
        work(&view(Values::Bf16(bits.reinterpret_cast()), array.shape())?)
    } else {
        let expected = "a matrix of float32, float16 or, for bfloat16, uint16";
        Err(problem(format!("weight: expected {expected}, got {}", weight.get_type().name()?)))
    }
}
