//! A packed matrix, owned or borrowed.

use crate::exponents::power;
use crate::scheme::ROWS;
use crate::{Error, Geometry, Result, Scheme};
use std::borrow::Cow;

/// Codes and parameters of a matrix, laid out as its [`Geometry`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantizedMatrix<'a> {
    geometry: Geometry,
    codes: Cow<'a, [u8]>,
    params: Cow<'a, [u8]>,
}

impl<'a> QuantizedMatrix<'a> {
    /// A matrix from its bytes, at any alignment.
    ///
    /// # Errors
    /// If the shape is impossible or a buffer is not as long as it and the scheme demand.
    pub fn new(
        scheme: Scheme,
        rows: usize,
        columns: usize,
        codes: impl Into<Cow<'a, [u8]>>,
        params: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Self> {
        let geometry = Geometry::new(scheme, rows, columns)?;
        let (codes, params) = (codes.into(), params.into());
        let length = |what, found, expected| {
            if found == expected { Ok(()) } else { Err(Error::Length { what, found, expected }) }
        };
        let blocks = geometry.blocks();
        length("buffer of codes", codes.len(), blocks * geometry.code_bytes)?;
        let expected = blocks * geometry.param_bytes + geometry.exponent_bytes();
        length("buffer of parameters", params.len(), expected)?;
        Ok(Self { geometry, codes, params })
    }

    /// Shape, scheme and where everything lies.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The packed codes.
    #[must_use]
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// The packed scales and minima, and the exponents.
    #[must_use]
    pub fn params(&self) -> &[u8] {
        &self.params
    }

    /// All that is stored, by the number of weights; 0 where there are none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn bits_per_weight(&self) -> f64 {
        let bits = 8 * (self.codes.len() + self.params.len());
        bits as f64 / (self.geometry.rows * self.geometry.columns).max(1) as f64
    }

    /// Codes and parameters of one 16-row panel.
    pub(crate) fn block(&self, block: usize) -> (&[u8], &[u8]) {
        let Geometry { code_bytes, param_bytes, .. } = self.geometry;
        (
            &self.codes[block * code_bytes..(block + 1) * code_bytes],
            &self.params[block * param_bytes..(block + 1) * param_bytes],
        )
    }

    /// What the floats of one 16-row panel are multiplied by; None where rows have no exponents.
    pub(crate) fn factors(&self, block: usize) -> Option<[f32; ROWS]> {
        let exponents = &self.params[self.geometry.blocks() * self.geometry.param_bytes..];
        let own = exponents.as_chunks::<ROWS>().0.get(block)?;
        Some(own.map(|byte| power(byte.cast_signed())))
    }
}
