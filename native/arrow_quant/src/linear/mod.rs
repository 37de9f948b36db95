//! Products with packed weights: `y = x W^T`.

mod activations;
mod float;
mod integer;
mod source;
mod tile;

use crate::pool::{self, each};
use crate::scheme::ROWS;
use crate::simd::Level;
use crate::{Error, Geometry, QuantizedMatrix, Result};
use activations::Round;

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
const SIXTEENS: usize = 4;
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
                let rounded = level.run(Round { geometry, x });
                each(threads, shares, |share| {
                    share.fill(|block, sums| {
                        integer::products(matrix, block, &rounded, level, sums);
                        for (sums, scale) in sums.iter_mut().zip(&rounded.scales) {
                            *sums = sums.map(|sum| sum * scale);
                        }
                    });
                    Ok(())
                })?;
            }
            Activations::Float32 => each(threads, shares, |share| {
                share.fill(|block, sums| float::products(matrix, block, x, level, sums));
                Ok(())
            })?,
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

/// The outputs of consecutive sixteens of rows, for each row of activations.
struct Share<'a> {
    first: usize,
    out: Vec<&'a mut [f32]>,
}

impl Share<'_> {
    /// Let products of one sixteen after the other be computed, and take those of rows that exist.
    fn fill(mut self, products: impl Fn(usize, &mut [[f32; ROWS]])) {
        let (batch, width) = (self.out.len(), self.out[0].len());
        // Rows of the output lie pages apart: each is visited once for some sixteens.
        let mut sums = vec![[0.0; ROWS]; SIXTEENS * batch];
        for at in (0..width).step_by(SIXTEENS * ROWS) {
            let end = width.min(at + SIXTEENS * ROWS);
            for (block, sums) in (at..end).step_by(ROWS).zip(sums.chunks_mut(batch)) {
                products(self.first + block / ROWS, sums);
            }
            for (row, out) in self.out.iter_mut().enumerate() {
                for (out, sums) in
                    out[at..end].chunks_mut(ROWS).zip(sums[row..].iter().step_by(batch))
                {
                    out.copy_from_slice(&sums[..out.len()]);
                }
            }
        }
    }
}

/// Divide outputs among threads, by whole sixteens of rows.
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
