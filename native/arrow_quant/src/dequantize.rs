//! From codes back to floats.

use crate::pack::half;
use crate::params::read;
use crate::pool::{self, each};
use crate::quantize::check;
use crate::scheme::{COLUMNS, ROWS};
use crate::simd::{Isa, Job, Level, run};
use crate::{Error, Geometry, QuantizedMatrix, Result, Weight};

/// Write all weights as single precision, one row after another.
///
/// # Errors
/// If `out` is not of `rows * columns` values.
pub fn dequantize(matrix: &QuantizedMatrix<'_>, out: &mut [f32], threads: usize) -> Result<()> {
    dequantize_at(matrix, out, threads, Level::best())
}

/// [`dequantize`] with the instructions of a level; all give the same floats.
///
/// # Errors
/// As [`dequantize`].
pub fn dequantize_at(
    matrix: &QuantizedMatrix<'_>,
    out: &mut [f32],
    threads: usize,
    level: Level,
) -> Result<()> {
    let &Geometry { rows, columns, .. } = matrix.geometry();
    let (found, expected) = (out.len(), rows * columns);
    if found != expected {
        return Err(Error::Length { what: "output", found, expected });
    }
    if expected == 0 {
        return Ok(());
    }
    let slices = out.chunks_mut(ROWS * columns).enumerate().collect();
    each(pool::threads(threads), slices, |(block, out)| {
        let mut lanes = vec![[0.0; ROWS]; COLUMNS];
        for first in (0..columns).step_by(COLUMNS) {
            expand(matrix, block, first, level, &mut lanes);
            for (row, out) in out.chunks_mut(columns).enumerate() {
                for (out, lanes) in out[first..].iter_mut().zip(&lanes) {
                    *out = lanes[row];
                }
            }
        }
        Ok(())
    })
}

/// The squared error over the squared norm of a weight, columns weighed by their importance.
///
/// 0 where the norm is 0 and so is the error.
///
/// # Errors
/// If the weight is not of the matrix's shape or not finite, or the importance is not one for each column.
pub fn relative_error(
    matrix: &QuantizedMatrix<'_>,
    weight: &Weight<'_>,
    importance: Option<&[f32]>,
    threads: usize,
) -> Result<f64> {
    let &Geometry { rows, columns, .. } = matrix.geometry();
    if (rows, columns) != (weight.rows(), weight.columns()) {
        return Err(Error::Setting {
            name: "shape of the weight",
            value: format!("{} x {}", weight.rows(), weight.columns()),
            expected: "that of the quantized matrix",
        });
    }
    let importance = importance.map(|h| check(h, columns)).transpose()?;
    let mut sums = vec![(0.0, 0.0); matrix.geometry().blocks()];
    each(
        pool::threads(threads),
        sums.iter_mut().enumerate().collect(),
        |(block, (error, norm))| {
            let mut weights = vec![[0.0; ROWS]; columns];
            weight.transpose(block, 0, Level::best(), &mut weights)?;
            let mut lanes = vec![[0.0; ROWS]; columns.next_multiple_of(COLUMNS)];
            expand(matrix, block, 0, Level::best(), &mut lanes);
            let present = (rows - block * ROWS).min(ROWS);
            for (column, (a, b)) in weights.iter().zip(&lanes).enumerate() {
                let h = importance.map_or(1.0, |h| f64::from(h[column]));
                for (&a, &b) in a.iter().zip(b).take(present) {
                    *error += h * (f64::from(a) - f64::from(b)).powi(2);
                    *norm += h * f64::from(a).powi(2);
                }
            }
            Ok(())
        },
    )?;
    let (error, norm) = sums.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    Ok(if error == 0.0 { 0.0 } else { error / norm })
}

/// Write the weights of sixteen rows from a tile on, column by column.
///
/// # Panics
/// If `first` or the number of columns is not a whole number of tiles of the matrix.
pub(crate) fn expand(
    matrix: &QuantizedMatrix<'_>,
    block: usize,
    first: usize,
    level: Level,
    out: &mut [[f32; ROWS]],
) {
    let geometry = matrix.geometry();
    assert!(first.is_multiple_of(COLUMNS) && out.len().is_multiple_of(COLUMNS));
    assert!(first + out.len() <= geometry.padded_columns());
    let (codes, params) = matrix.block(block);
    let factors = matrix.factors(block).unwrap_or([1.0; ROWS]);
    let codes = &codes[first / COLUMNS * geometry.tile_bytes()..];
    match geometry.scheme.bits() {
        2 => run(level, Expand::<2> { geometry, codes, params, factors, first, out }),
        3 => run(level, Expand::<3> { geometry, codes, params, factors, first, out }),
        4 => run(level, Expand::<4> { geometry, codes, params, factors, first, out }),
        _ => run(level, Expand::<8> { geometry, codes, params, factors, first, out }),
    }
}

struct Expand<'a, const BITS: u8> {
    geometry: &'a Geometry,
    codes: &'a [u8],
    params: &'a [u8],
    factors: [f32; ROWS],
    first: usize,
    out: &'a mut [[f32; ROWS]],
}

impl<const BITS: u8> Job for Expand<'_, BITS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let tiles = self.codes.chunks_exact(self.geometry.tile_bytes());
        for (t, (tile, out)) in tiles.zip(self.out.chunks_exact_mut(COLUMNS)).enumerate() {
            for (h, out) in out.chunks_exact_mut(COLUMNS / 2).enumerate() {
                let column = self.first + t * COLUMNS + h * COLUMNS / 2;
                // What pads the last group has its parameters.
                let group = (column / self.geometry.group).min(self.geometry.groups() - 1);
                // SAFETY: the machine has the instructions of `I` (contract of `Job::run`);
                // `chunks_exact` gives whole tiles, `h` is 0 or 1 since `out` is one tile, and
                // arrays of 16 floats are read and written.
                unsafe {
                    let (scale, minimum) = read::<I>(self.geometry, self.params, group);
                    let factors = I::load(self.factors.as_ptr());
                    let (scale, minimum) = (I::mul(scale, factors), I::mul(minimum, factors));
                    let quads = half::<I, BITS>(tile.as_ptr(), h);
                    for (quad, out) in quads.into_iter().zip(out.as_chunks_mut::<4>().0) {
                        for (codes, out) in I::columns(quad).into_iter().zip(out) {
                            let w = I::fma(I::to_floats(codes), scale, minimum);
                            I::store(out.as_mut_ptr(), w);
                        }
                    }
                }
            }
        }
    }
}
