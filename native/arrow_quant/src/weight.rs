//! A weight as it lies in memory, borrowed.

use crate::scheme::ROWS;
use crate::simd::{Isa, Job, Level};
use crate::{Error, Result};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// The values, one row after another.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// IEEE single precision.
    F32(&'a [f32]),
    /// IEEE half precision.
    F16(&'a [f16]),
    /// The upper half of single precision.
    Bf16(&'a [bf16]),
}

/// A matrix of floats: `rows` outputs by `columns` inputs.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'a> {
    values: Values<'a>,
    rows: usize,
    columns: usize,
}

/// Columns that are transposed at a time, a multiple of 16.
const STRIP: usize = 64;
/// The largest finite float16.
const LARGEST: f32 = 65504.0;

impl<'a> Weight<'a> {
    /// A view of a buffer.
    ///
    /// # Errors
    /// If it does not hold `rows * columns` values.
    pub fn new(values: Values<'a>, rows: usize, columns: usize) -> Result<Self> {
        let found = match values {
            Values::F32(x) => x.len(),
            Values::F16(x) => x.len(),
            Values::Bf16(x) => x.len(),
        };
        let expected = rows.checked_mul(columns).ok_or(Error::TooLarge { rows, columns })?;
        if found == expected {
            Ok(Self { values, rows, columns })
        } else {
            Err(Error::Length { what: "buffer of weights", found, expected })
        }
    }

    /// A view of single-precision values.
    ///
    /// # Errors
    /// As [`Weight::new`].
    pub fn f32(values: &'a [f32], rows: usize, columns: usize) -> Result<Self> {
        Self::new(Values::F32(values), rows, columns)
    }

    /// Outputs.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Write sixteen rows column by column; rows beyond the last repeat it.
    ///
    /// # Errors
    /// If a value is not finite, or too large for a float16.
    pub(crate) fn transpose(&self, block: usize, out: &mut [[f32; ROWS]]) -> Result<()> {
        let mut strip = [[0.0; STRIP]; ROWS];
        for (s, out) in out.chunks_mut(STRIP).enumerate() {
            for (lane, values) in strip.iter_mut().enumerate() {
                let row = (block * ROWS + lane).min(self.rows - 1);
                let values = &mut values[..out.len()];
                self.widen(row * self.columns + s * STRIP, values);
                let bad = |x: &f32| x.is_nan() || x.abs() > LARGEST;
                if values.iter().fold(false, |any, x| any | bad(x)) {
                    let at = values.iter().position(bad).unwrap_or(0);
                    let (column, value) = (s * STRIP + at, values[at]);
                    return Err(Error::Weight { row, column, value });
                }
            }
            Level::best().run(Turn { strip: &strip, out });
        }
        Ok(())
    }

    /// Read consecutive values as single precision.
    fn widen(&self, from: usize, out: &mut [f32]) {
        let range = from..from + out.len();
        match self.values {
            Values::F32(x) => out.copy_from_slice(&x[range]),
            Values::F16(x) => x[range].convert_to_f32_slice(out),
            Values::Bf16(x) => x[range].convert_to_f32_slice(out),
        }
    }
}

/// From rows to columns.
struct Turn<'a> {
    strip: &'a [[f32; STRIP]; ROWS],
    out: &'a mut [[f32; ROWS]],
}

impl Job for Turn<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        for (s, out) in self.out.chunks_mut(ROWS).enumerate() {
            // SAFETY: the caller has the instructions; a strip is some squares wide, and arrays
            // hold the lanes.
            unsafe {
                let columns = I::turn(self.strip.as_ptr().cast::<f32>().add(s * ROWS), STRIP);
                for (out, column) in out.iter_mut().zip(columns) {
                    I::store(out.as_mut_ptr(), column);
                }
            }
        }
    }
}
