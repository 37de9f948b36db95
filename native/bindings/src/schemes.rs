//! Schemes of quantization, as Python says them.

use arrow_quant::Scheme;
use pyo3::prelude::*;

use crate::choices;
use crate::quant::arrow_quant::{error, problem};

/// A scheme; -1 stands for a group that is a whole row.
pub(crate) fn scheme(bits: u8, group_size: i64, symmetric: bool, params: &str) -> PyResult<Scheme> {
    let (params, exponents) = choices::param_format(params).map_err(problem)?;
    let group_size = match group_size {
        -1 => None,
        // Zero is no size, and so refused as one.
        size => Some(usize::try_from(size).unwrap_or(0)),
    };
    let scheme = Scheme::new(bits, group_size, symmetric, params).map_err(error)?;
    Ok(scheme.with_exponents(exponents))
}

/// Columns that share a scale, -1 for a whole row.
pub(crate) fn group_size(scheme: Scheme) -> i64 {
    scheme.group_size().map_or(-1, |size| size as i64)
}
