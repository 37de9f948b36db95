//! A weight as it lies in memory, borrowed.

use crate::scheme::ROWS;
use crate::simd::{Isa, Job, Level, run};
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
/// Floats of a row between those in use and those that are fetched meanwhile.
const AHEAD: usize = 128;
/// The largest weight: what it becomes may be a little larger, and float32 ends at twice this.
const LARGEST: f32 = f32::from_bits(253 << 23);

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

    /// Write some columns of sixteen rows column by column; rows beyond the last repeat it.
    ///
    /// Gives the largest size of a weight in each row.
    ///
    /// # Errors
    /// If a value is not finite, or too large.
    pub(crate) fn transpose(
        &self,
        block: usize,
        first: usize,
        level: Level,
        out: &mut [[f32; ROWS]],
    ) -> Result<[f32; ROWS]> {
        let mut all = [0f32; ROWS];
        let mut strip = [[0.0; STRIP]; ROWS];
        for (s, out) in out.chunks_mut(STRIP).enumerate() {
            let first = first + s * STRIP;
            let reach = match self.values {
                Values::F32(x) if out.len() == STRIP && (block + 1) * ROWS <= self.rows => {
                    let from = &x[block * ROWS * self.columns + first..];
                    run(level, Turn { from, stride: self.columns, out })
                }
                _ => {
                    for (lane, values) in strip.iter_mut().enumerate() {
                        let row = (block * ROWS + lane).min(self.rows - 1);
                        self.widen(row * self.columns + first, &mut values[..out.len()]);
                    }
                    let from = strip.as_flattened();
                    run(level, Turn { from, stride: STRIP, out })
                }
            };
            match reach {
                Some(reach) => all = std::array::from_fn(|row| all[row].max(reach[row])),
                None => return Err(self.unsound(block, first, out)),
            }
        }
        Ok(all)
    }

    /// Name the first value that is not finite, or too large.
    fn unsound(&self, block: usize, first: usize, out: &[[f32; ROWS]]) -> Error {
        let bad = |x: f32| x.is_nan() || x.abs() > LARGEST;
        let places = (0..ROWS).flat_map(|lane| (0..out.len()).map(move |c| (lane, c)));
        let (lane, column) = places.into_iter().find(|&(l, c)| bad(out[c][l])).unwrap_or_default();
        let row = (block * ROWS + lane).min(self.rows - 1);
        Error::Weight { row, column: first + column, value: out[column][lane] }
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

/// From rows to columns; the largest size of each row, if all values are finite and small enough.
struct Turn<'a> {
    from: &'a [f32],
    stride: usize,
    out: &'a mut [[f32; ROWS]],
}

impl Job for Turn<'_> {
    type Output = Option<[f32; ROWS]>;

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Option<[f32; ROWS]> {
        let Self { from, stride, out } = self;
        assert!(from.len() >= (ROWS - 1) * stride + out.len().next_multiple_of(ROWS));
        let mut lanes = [[0.0; ROWS]; 3];
        // SAFETY: the machine has the instructions of `I` (contract of `Job::run`). `from` has 16
        // rows for each square of `out`, as was just checked, and arrays of 16 floats are written.
        unsafe {
            let zero = I::splat(0.0);
            let (mut low, mut high, mut wrong) = (zero, zero, zero);
            for (s, out) in out.chunks_mut(ROWS).enumerate() {
                let at = from.as_ptr().add(s * ROWS);
                for row in 0..ROWS {
                    I::prefetch(at.wrapping_add(row * stride + AHEAD).cast());
                }
                for (out, w) in out.iter_mut().zip(I::turn(at, stride)) {
                    (low, high) = (I::min(low, w), I::max(high, w));
                    wrong = I::fma(w, zero, wrong); // NaN if w is not finite
                    I::store(out.as_mut_ptr(), w);
                }
            }
            for (lanes, x) in lanes.iter_mut().zip([low, high, wrong]) {
                I::store(lanes.as_mut_ptr(), x);
            }
        }
        let [low, high, wrong] = lanes;
        let reach: [f32; ROWS] = std::array::from_fn(|row| high[row].max(-low[row]));
        let sound = reach.iter().all(|&x| x <= LARGEST) && !wrong.iter().any(|x| x.is_nan());
        sound.then_some(reach)
    }
}
