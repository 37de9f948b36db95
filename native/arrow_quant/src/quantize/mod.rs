//! From floats to codes.

mod double;
mod feedback;
mod grid;
mod round;

use crate::exponents::{Exponents, choose, divide, power, shift};
use crate::params::{Grid, write_halves};
use crate::pool::{self, each};
use crate::scheme::{COLUMNS, ParamFormat, ROWS};
use crate::simd::{Isa, Job, Level, run};
use crate::{Error, Geometry, QuantizedMatrix, Result, Scheme, Weight};
use feedback::Feedback;

/// Columns of groups that are done together, a multiple of every group.
const STEP: usize = 256;

/// How codes, scales and minima are found.
#[derive(Clone, Copy, Debug)]
pub enum Quality<'a> {
    /// Round to nearest between the ends of each group.
    Fast,
    /// The scale and minimum of the least squared error of each group, columns weighed by their
    /// importance, such as the second moment of the inputs.
    Search(Option<&'a [f32]>),
    /// The same, weighed by the diagonal of the inputs' second moment `X^T X`, (columns, columns), of
    /// any scale; then each column is rounded so that it makes good what earlier ones lost of the
    /// outputs.
    Calibrated(&'a [f64]),
}

/// Quantize a matrix.
///
/// A group of equal values becomes that value as closely as its parameters hold it; a group of zeros
/// is exact. Columns that pad the last group or tile have code 0. Rows of any size lose as much: those
/// that float16s would not hold are kept under exponents, and the matrix then has [`Scheme::exponents`].
///
/// # Errors
/// If a weight is not finite or larger than `2^126`, if an importance is not one for each column, or
/// a second moment not one for each pair of them, or not positive semidefinite.
pub fn quantize(
    weight: &Weight<'_>,
    scheme: Scheme,
    quality: Quality<'_>,
    threads: usize,
) -> Result<QuantizedMatrix<'static>> {
    quantize_at(weight, scheme, quality, threads, Level::best())
}

/// [`quantize`] with the instructions of a level; plain Rust rounds sums otherwise than the others.
///
/// # Errors
/// As [`quantize`].
pub fn quantize_at(
    weight: &Weight<'_>,
    scheme: Scheme,
    quality: Quality<'_>,
    threads: usize,
    level: Level,
) -> Result<QuantizedMatrix<'static>> {
    let geometry = Geometry::new(scheme, weight.rows(), weight.columns())?;
    let columns = weight.columns();
    let importance = match quality {
        Quality::Fast => None,
        Quality::Search(Some(importance)) => Some(scaled(check(importance, columns)?)),
        Quality::Search(None) => Some(vec![1.0; columns]),
        Quality::Calibrated(hessian) => Some(diagonal(hessian, columns)?),
    };
    let threads = pool::threads(threads);
    let feedback = match quality {
        Quality::Calibrated(hessian) => {
            Some(pool::install(threads, || Feedback::new(hessian, columns))?)
        }
        _ => None,
    };
    let blocks = geometry.blocks();
    let mut codes = vec![0; blocks * geometry.code_bytes];
    let mut params = vec![0; blocks * geometry.param_bytes];
    let mut exponents = vec![[0; ROWS]; blocks];
    if columns > 0 {
        let slices = codes
            .chunks_mut(geometry.code_bytes)
            .zip(params.chunks_mut(geometry.param_bytes))
            .zip(&mut exponents)
            .enumerate()
            .collect();
        // Groups that know nothing of each other are done while they are in the first cache.
        let alone = importance.is_none()
            && scheme.params() == ParamFormat::F16
            && scheme.group_size().is_some();
        each(threads, slices, |(block, ((codes, params), exponents))| {
            let mut some = |step: usize| -> Result<bool> {
                let mut weights = vec![[0.0; ROWS]; step.min(columns)];
                for first in (0..columns).step_by(step) {
                    let weights = &mut weights[..step.min(columns - first)];
                    let shifts = weight.transpose(block, first, level, weights)?.map(shift);
                    divide(weights, &shifts);
                    let codes = &mut codes[first / COLUMNS * geometry.tile_bytes()..];
                    let params = &mut params[first / geometry.group * geometry.group_at(1)..];
                    let (geometry, weights) = (&geometry, &*weights);
                    let (importance, feedback) = (importance.as_deref(), feedback.as_ref());
                    let job =
                        Block { geometry, weights, importance, feedback, shifts, codes, params };
                    *exponents = run(level, job);
                    if step < columns && *exponents != [0; ROWS] {
                        return Ok(false);
                    }
                }
                Ok(true)
            };
            // An exponent is that of a whole row.
            if !(alone && STEP < columns && some(STEP)?) {
                some(columns)?;
            }
            Ok(())
        })?;
    }
    let kept = scheme.exponents() || exponents.iter().any(|row| *row != [0; ROWS]);
    if kept {
        params.extend(exponents.as_flattened().iter().map(|exponent| exponent.cast_unsigned()));
    }
    QuantizedMatrix::new(scheme.with_exponents(kept), weight.rows(), columns, codes, params)
}

/// Importances times a power of two, so that their sums are far from the ends of float32.
fn scaled(importance: &[f32]) -> Vec<f32> {
    let factor = power(-shift(importance.iter().fold(0f32, |a, &b| a.max(b))));
    importance.iter().map(|h| h * factor).collect()
}

/// The importance of columns that a second moment tells, with a mean of 1.
fn diagonal(hessian: &[f64], columns: usize) -> Result<Vec<f32>> {
    let expected =
        columns.checked_mul(columns).ok_or(Error::TooLarge { rows: columns, columns })?;
    let (what, found) = ("hessian", hessian.len());
    if found != expected {
        return Err(Error::Length { what, found, expected });
    }
    let bad = |(i, x): (usize, &f64)| !x.is_finite() || i % (columns + 1) == 0 && *x < 0.0;
    if let Some(position) = hessian.iter().enumerate().position(bad) {
        let (value, expected) = (hessian[position], "finite numbers, on the diagonal not negative");
        return Err(Error::Statistic { what, position, value, expected });
    }
    let diagonal = || hessian.iter().step_by(columns + 1);
    let mean = diagonal().sum::<f64>() / columns as f64;
    // Columns whose inputs were never seen must not make groups of which nothing is known.
    let importance = |x: f64| if mean > 0.0 { x / mean + 1e-3 } else { 1.0 };
    Ok(diagonal().map(|&x| importance(x) as f32).collect())
}

/// Refuse importances that are not one for each column, finite and not negative.
pub(crate) fn check(importance: &[f32], columns: usize) -> Result<&[f32]> {
    let found = importance.len();
    if found != columns {
        return Err(Error::Length { what: "importance", found, expected: columns });
    }
    match importance.iter().position(|x| !(x.is_finite() && *x >= 0.0)) {
        None => Ok(importance),
        Some(position) => Err(Error::Statistic {
            what: "importance",
            position,
            value: f64::from(importance[position]),
            expected: "a finite number that is not negative",
        }),
    }
}

/// Sixteen rows, column by column.
struct Block<'a> {
    geometry: &'a Geometry,
    weights: &'a [[f32; ROWS]],
    /// None for the ends of the range.
    importance: Option<&'a [f32]>,
    /// None to round to nearest.
    feedback: Option<&'a Feedback>,
    /// What the rows were divided by.
    shifts: Exponents,
    codes: &'a mut [u8],
    params: &'a mut [u8],
}

impl Job for Block<'_> {
    /// What the rows are kept under.
    type Output = Exponents;

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Exponents {
        let Self { geometry, weights, importance, feedback, shifts, codes, params } = self;
        // SAFETY: the machine has the instructions of `I` (contract of `Job::run`).
        unsafe {
            let mut grids = Vec::with_capacity(geometry.groups());
            for (g, group) in weights.chunks(geometry.group).enumerate() {
                let ends = grid::range::<I>(geometry, group);
                grids.push(match importance {
                    None => ends,
                    Some(h) => grid::search::<I>(geometry, group, &h[g * geometry.group..], &ends),
                });
            }
            let exponents = if geometry.scheme.params() == ParamFormat::F16 {
                write(geometry, &mut grids, &shifts, params)
            } else {
                double::write::<I>(geometry, weights, importance, &mut grids, &shifts, params)
            };
            match feedback {
                None => round::nearest::<I>(geometry, weights, &grids, codes),
                Some(feedback) => feedback.round::<I>(geometry, weights, &grids, codes),
            }
            std::array::from_fn(|row| exponents[row] + shifts[row])
        }
    }
}

/// Store float16 parameters under exponents; grids become what was stored.
fn write(geometry: &Geometry, grids: &mut [Grid], shifts: &Exponents, out: &mut [u8]) -> Exponents {
    let symmetric = geometry.scheme.symmetric();
    let stored =
        grids.iter().map(|g| (&g.scale, if symmetric { &[0.0; ROWS] } else { &g.minimum }));
    let exponents = choose(stored, 1.0, shifts);
    for (grid, out) in grids.iter_mut().zip(out.chunks_mut(geometry.group_at(1))) {
        write_halves(&mut grid.scale, &exponents, out);
        if symmetric {
            grid.minimum = grid.scale.map(|scale| scale * -geometry.scheme.zero_code());
        } else {
            write_halves(&mut grid.minimum, &exponents, &mut out[2 * ROWS..]);
        }
    }
    exponents
}
