//! Vectors as they lie in memory, borrowed.

use crate::{Error, Result};
use half::{bf16, f16};

/// The values of all rows, one row after another.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// IEEE single precision.
    F32(&'a [f32]),
    /// IEEE half precision.
    F16(&'a [f16]),
    /// The upper half of single precision.
    Bf16(&'a [bf16]),
    /// Small integers.
    I8(&'a [i8]),
    /// One bit a value, least significant first: set is +1, clear is -1.
    Binary(&'a [u8]),
}

/// Rows of equal dimension.
#[derive(Clone, Copy, Debug)]
pub struct Vectors<'a> {
    data: Data<'a>,
    dim: usize,
    rows: usize,
}

impl<'a> Vectors<'a> {
    /// A view of a buffer.
    ///
    /// # Errors
    /// If the dimension is impossible, the buffer is not a whole number of rows, or there are more
    /// than `u32::MAX` of them.
    pub fn new(data: Data<'a>, dim: usize) -> Result<Self> {
        let (length, width) = match data {
            Data::F32(x) => (x.len(), dim),
            Data::F16(x) => (x.len(), dim),
            Data::Bf16(x) => (x.len(), dim),
            Data::I8(x) => (x.len(), dim),
            Data::Binary(_) if !dim.is_multiple_of(8) => return Err(Error::Dimension(dim)),
            Data::Binary(x) => (x.len(), dim / 8),
        };
        if width == 0 {
            return Err(Error::Dimension(dim));
        }
        let rows = length / width;
        if rows * width != length {
            let expected = rows * width;
            return Err(Error::Length { what: "buffer of vectors", found: length, expected });
        }
        if u32::try_from(rows).is_err() {
            return Err(Error::TooManyRows(rows));
        }
        Ok(Self { data, dim, rows })
    }

    /// A view of single-precision rows.
    ///
    /// # Errors
    /// As [`Vectors::new`].
    pub fn f32(values: &'a [f32], dim: usize) -> Result<Self> {
        Self::new(Data::F32(values), dim)
    }

    /// The values.
    #[must_use]
    pub fn data(&self) -> Data<'a> {
        self.data
    }

    /// Values a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// One row as single precision.
    ///
    /// # Errors
    /// If the row does not exist.
    pub fn row(&self, row: u32) -> Result<Vec<f32>> {
        if row as usize >= self.rows {
            return Err(Error::NoSuchRow { row, rows: self.rows });
        }
        let mut out = vec![0.0; self.dim];
        self.widen_row(row as usize, &mut out);
        Ok(out)
    }

    /// Write one row as single precision.
    ///
    /// # Panics
    /// If the row does not exist or `out` is shorter than the dimension.
    pub(crate) fn widen_row(&self, row: usize, out: &mut [f32]) {
        let range = row * self.dim..(row + 1) * self.dim;
        let out = &mut out[..self.dim];
        match self.data {
            Data::F32(x) => out.copy_from_slice(&x[range]),
            Data::F16(x) => widen(out, &x[range], f16::to_f32),
            Data::Bf16(x) => widen(out, &x[range], bf16::to_f32),
            Data::I8(x) => widen(out, &x[range], f32::from),
            Data::Binary(x) => {
                let bytes = &x[range.start / 8..range.end / 8];
                for (i, o) in out.iter_mut().enumerate() {
                    *o = if bytes[i / 8] >> (i % 8) & 1 == 1 { 1.0 } else { -1.0 };
                }
            }
        }
    }
}

fn widen<T: Copy>(out: &mut [f32], values: &[T], convert: impl Fn(T) -> f32) {
    for (o, &v) in out.iter_mut().zip(values) {
        *o = convert(v);
    }
}

/// Refuse a vector of the wrong dimension or with a value that is not finite.
pub(crate) fn check(what: &'static str, values: &[f32], dim: usize) -> Result<()> {
    check_length(what, values, dim)?;
    match values.iter().position(|x| !x.is_finite()) {
        Some(position) => Err(Error::NotFinite { what, value: values[position], position }),
        None => Ok(()),
    }
}

fn check_length(what: &'static str, values: &[f32], expected: usize) -> Result<()> {
    let found = values.len();
    if found == expected { Ok(()) } else { Err(Error::Length { what, found, expected }) }
}
