//! Texts from Python, which are not copied.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

/// Texts that are alive and unchanged as long as this is.
pub(crate) struct Texts(Vec<PyBackedStr>);

impl<'py> FromPyObject<'_, 'py> for Texts {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(object.extract()?))
    }
}

impl Texts {
    pub(crate) fn views(&self) -> Vec<&str> {
        self.0.iter().map(|text| &text[..]).collect()
    }
}
