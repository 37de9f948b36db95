//! Products with packed weights: `y = x W^T`.

mod activations;
mod float;
mod integer;
mod source;
mod tile;

use crate::pool::{self, each};
use crate::scheme::ROWS;
use crate::simd::{Isa, Job, Level, run};
use crate::{Error, Geometry, QuantizedMatrix, Result};
use activations::Rounded;
use std::ops::Range;

/// How activations enter the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activations {
    /// Rounded to 8 bits with a scale for each row.
    Int8,
    /// As they are.
    Float32,
}

/// Rows of activations that go through all weights before the next: what a core's cache keeps.
const BATCH: usize = 256;
/// Sixteens of outputs that are written together.
const SIXTEENS: usize = 8;
/// Shares of the rows of weights for each thread, so that a slow one can leave some to the others.
const SHARES: usize = 4;

/// Write `x W^T` to `out`, both row by row: `x` is (batch, columns) and `out` (batch, rows).
///
/// With [`Activations::Int8`] a row that holds NaN or an infinity gives NaN everywhere.
///
/// # Errors
/// If a buffer is not a whole number of rows, or `out` has not as many as `x`.
pub fn linear(
    matrix: &QuantizedMatrix<'_>,
    x: &[f32],
    batch: usize,
    activations: Activations,
    out: &mut [f32],
    threads: usize,
) -> Result<()> {
    linear_at(matrix, x, batch, activations, out, threads, Level::best())
}

/// [`linear`] with the instructions of a level.
///
/// # Errors
/// As [`linear`].
pub fn linear_at(
    matrix: &QuantizedMatrix<'_>,
    x: &[f32],
    batch: usize,
    activations: Activations,
    out: &mut [f32],
    threads: usize,
    level: Level,
) -> Result<()> {
    let geometry = matrix.geometry();
    length("activations", x.len(), batch, geometry.columns)?;
    length("output", out.len(), batch, geometry.rows)?;
    if geometry.columns == 0 {
        out.fill(0.0);
    }
    if x.is_empty() || out.is_empty() {
        return Ok(());
    }
    let threads = pool::threads(threads);
    let chunks = x.chunks(BATCH * geometry.columns).zip(out.chunks_mut(BATCH * geometry.rows));
    for (x, out) in chunks {
        let shares = shares(geometry, out, threads);
        match activations {
            Activations::Int8 => {
                let rounded = Rounded::new(geometry, x, threads, level)?;
                each(threads, shares, |share| {
                    share.fill(level, &rounded.scales, |first, sums| {
                        integer::products(matrix, first, &rounded, level, sums);
                    });
                    Ok(())
                })?;
            }
            Activations::Float32 => {
                let ones = vec![1.0; x.len() / geometry.columns];
                each(threads, shares, |share| {
                    share.fill(level, &ones, |first, sums| {
                        for (i, sums) in sums.chunks_mut(ones.len()).enumerate() {
                            float::products(matrix, first + i, x, level, sums);
                        }
                    });
                    Ok(())
                })?;
            }
        }
    }
    Ok(())
}

fn length(what: &'static str, found: usize, batch: usize, width: usize) -> Result<()> {
    match batch.checked_mul(width) {
        Some(expected) if expected == found => Ok(()),
        expected => Err(Error::Length { what, found, expected: expected.unwrap_or(usize::MAX) }),
    }
}

/// The outputs of consecutive 16-row panels, for each activation row.
struct Share<'a> {
    first: usize,
    out: Vec<&'a mut [f32]>,
}

impl Share<'_> {
    /// Compute the products of some panels after the others, and take those of rows that exist,
    /// times the scale of their activations.
    fn fill(mut self, level: Level, scales: &[f32], products: impl Fn(usize, &mut [[f32; ROWS]])) {
        let (batch, width) = (self.out.len(), self.out[0].len());
        // Rows of the output lie pages apart: each is visited once for some panels.
        let mut sums = vec![[0.0; ROWS]; SIXTEENS * batch];
        for at in (0..width).step_by(SIXTEENS * ROWS) {
            let columns = at..width.min(at + SIXTEENS * ROWS);
            let sums = &mut sums[..columns.len().div_ceil(ROWS) * batch];
            products(self.first + at / ROWS, sums);
            run(level, Give { sums, scales, columns, out: &mut self.out });
        }
    }
}

/// Write products to the outputs of some columns.
struct Give<'a, 'b> {
    sums: &'a [[f32; ROWS]],
    scales: &'a [f32],
    columns: Range<usize>,
    out: &'a mut [&'b mut [f32]],
}

impl Job for Give<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let batch = self.out.len();
        for (row, (out, &scale)) in self.out.iter_mut().zip(self.scales).enumerate() {
            let (whole, rest) = out[self.columns.clone()].as_chunks_mut::<ROWS>();
            let mut sums = self.sums[row..].iter().step_by(batch);
            for (out, sums) in whole.iter_mut().zip(&mut sums) {
                *out = sums.map(|sum| sum * scale);
            }
            for (out, sum) in rest.iter_mut().zip(sums.next().unwrap_or(&[0.0; ROWS])) {
                *out = sum * scale;
            }
        }
    }
}

/// Divide outputs among threads, by whole panels.
fn shares<'a>(geometry: &Geometry, out: &'a mut [f32], threads: usize) -> Vec<Share<'a>> {
    let count = if threads == 1 { 1 } else { threads * SHARES };
    let blocks = geometry.blocks().div_ceil(count);
    let mut shares: Vec<Share<'a>> = (0..geometry.blocks())
        .step_by(blocks)
        .map(|first| Share { first, out: Vec::with_capacity(BATCH) })
        .collect();
    for row in out.chunks_mut(geometry.rows) {
        for (share, piece) in shares.iter_mut().zip(row.chunks_mut(blocks * ROWS)) {
            share.out.push(piece);
        }
    }
    shares
}
