//! Rectangles of ids for Python.

use ::fast_tokenizer::engine::{Batch, Layout};
use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::texts::Texts;
use crate::tokenizer::fast_tokenizer::FastTokenizerError;

/// How rows come to one length: the attributes of `aios_core.contracts.Padding`.
#[derive(FromPyObject)]
pub(crate) struct Padding {
    max_length: Option<usize>,
    padding: String,
    padding_side: String,
    truncation_side: String,
    pad_to_multiple_of: usize,
}

impl Padding {
    pub(crate) fn layout(self, pad: u32, before: Vec<u32>, after: Vec<u32>) -> Layout {
        Layout {
            pad,
            max_length: self.max_length,
            fill: self.padding == "max_length",
            multiple: self.pad_to_multiple_of,
            pad_left: self.padding_side == "left",
            truncate_left: self.truncation_side == "left",
            before,
            after,
        }
    }
}

/// Ids and mask, each (B, L).
pub(crate) type Rectangle<'py> = (Bound<'py, PyArray2<i64>>, Bound<'py, PyArray2<bool>>);

/// Encodes texts and lays their rows out while other threads run.
pub(crate) fn rectangle<'py>(
    py: Python<'py>,
    texts: &Texts,
    layout: Layout,
    encode: impl FnOnce(&[&str]) -> PyResult<Batch> + Send,
) -> PyResult<Rectangle<'py>> {
    let (padded, rows) = py.detach(|| {
        let batch = encode(&texts.views()?)?;
        let padded = batch.padded(&layout);
        let padded = padded.map_err(|error| FastTokenizerError::new_err(error.to_string()))?;
        PyResult::Ok((padded, batch.offsets.len() - 1))
    })?;
    let shape = [rows, padded.width];
    let ids = padded.ids.into_pyarray(py).reshape(shape)?;
    Ok((ids, padded.mask.into_pyarray(py).reshape(shape)?))
}
