//! Texts from Python, which are not copied.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3_arrow::input::AnyArray;

use crate::tokenizer::fast_tokenizer::FastTokenizerError;

/// Texts that are alive and unchanged as long as this is.
pub(crate) enum Texts {
    Strings(Vec<PyBackedStr>),
    /// The chunks of an Arrow array, none of which became a Python string.
    Arrow(Vec<ArrayRef>),
}

impl<'py> FromPyObject<'_, 'py> for Texts {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if !is_arrow(&object)? {
            return Ok(Self::Strings(object.extract()?));
        }
        // What crosses to us says no more how long its buffers are; pyarrow knows it still, and
        // does not look by itself at what it maps from a file.
        if object.get_type().module()? == "pyarrow.lib" {
            let checked = object.call_method0("validate");
            checked.map_err(|error| refusal(error.value(object.py()).to_string()))?;
        }
        let array = object.extract::<AnyArray>()?;
        let kind = array.field()?.data_type().clone();
        if !matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
            return Err(refusal(format!(
                "expected an Arrow array of string, large_string or string_view, got {kind}"
            )));
        }
        Ok(Self::Arrow(array.into_chunked_array()?.into_inner().0))
    }
}

impl Texts {
    /// The texts, after a look at those from Arrow.
    pub(crate) fn views(&self) -> PyResult<Vec<&str>> {
        let chunks = match self {
            Self::Strings(texts) => return Ok(texts.iter().map(|text| &text[..]).collect()),
            Self::Arrow(chunks) => chunks,
        };
        let mut views = Vec::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum());
        for chunk in chunks {
            if let Some(row) = (0..chunk.len()).find(|&row| chunk.is_null(row)) {
                let row = views.len() + row;
                return Err(refusal(format!(
                    "expected a text in every row, got null in row {row}"
                )));
            }
            // Nobody else has asked whether what claims to be text is UTF-8.
            let first = views.len();
            chunk.to_data().validate_full().map_err(|error| {
                let last = first + chunk.len() - 1;
                refusal(format!("rows {first} to {last} are no texts: {error}"))
            })?;
            match chunk.data_type() {
                DataType::Utf8 => views.extend(chunk.as_string::<i32>().iter().flatten()),
                DataType::LargeUtf8 => views.extend(chunk.as_string::<i64>().iter().flatten()),
                _ => views.extend(chunk.as_string_view().iter().flatten()),
            }
        }
        Ok(views)
    }
}

/// Whether an object offers itself by the Arrow PyCapsule interface.
pub(crate) fn is_arrow(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.hasattr("__arrow_c_array__")? || object.hasattr("__arrow_c_stream__")?)
}

fn refusal(message: String) -> PyErr {
    FastTokenizerError::new_err(message)
}
