//! Panels of 16 rows of packed weights times float activations.

use crate::QuantizedMatrix;
use crate::dequantize::expand;
use crate::scheme::ROWS;
use crate::simd::{Isa, Job, Level, run};

/// Columns that are expanded at a time.
const STRIP: usize = 256;
/// Rows of activations whose sums are in registers together.
const TILE: usize = 4;

/// Multiply one 16-row panel with all activation rows of `x`.
pub(super) fn products(
    matrix: &QuantizedMatrix<'_>,
    block: usize,
    x: &[f32],
    level: Level,
    out: &mut [[f32; ROWS]],
) {
    let (columns, padded) = (matrix.geometry().columns, matrix.geometry().padded_columns());
    let mut strip = [[0.0; ROWS]; STRIP];
    out.fill([0.0; ROWS]);
    for first in (0..padded).step_by(STRIP) {
        let wide = STRIP.min(padded - first);
        expand(matrix, block, first, level, &mut strip[..wide]);
        let weights = &strip[..wide.min(columns - first)];
        run(level, Strip { weights, columns, first, x, out });
    }
}

struct Strip<'a> {
    weights: &'a [[f32; ROWS]],
    columns: usize,
    first: usize,
    x: &'a [f32],
    out: &'a mut [[f32; ROWS]],
}

impl Job for Strip<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let rows = self.x.chunks_exact(TILE * self.columns);
        let (tiles, rest) = self.out.as_chunks_mut::<TILE>();
        // SAFETY: the machine has the instructions of `I` (contract of `Job::run`).
        unsafe {
            for (out, x) in rest.iter_mut().zip(rows.remainder().chunks_exact(self.columns)) {
                add::<I, 1>(
                    self.weights,
                    self.columns,
                    &x[self.first..],
                    std::array::from_mut(out),
                );
            }
            for (out, x) in tiles.iter_mut().zip(rows) {
                add::<I, TILE>(self.weights, self.columns, &x[self.first..], out);
            }
        }
    }
}

/// Accumulate a 16-row panel times `B` activation rows, `stride` apart.
///
/// # Safety
///
/// The machine must have the instructions of `I`.
///
/// # Panics
///
/// If `x` does not hold so many rows.
#[inline(always)]
unsafe fn add<I: Isa, const B: usize>(
    weights: &[[f32; ROWS]],
    stride: usize,
    x: &[f32],
    out: &mut [[f32; ROWS]; B],
) {
    assert!(x.len() >= (B - 1) * stride + weights.len());
    // SAFETY: the machine has the instructions of `I` (this function's contract); arrays of 16
    // floats are read and written, and `x` is as long as was just checked, with `b` below `B` and
    // `column` below the number of weights.
    unsafe {
        let mut sums: [I::Floats; B] = std::array::from_fn(|b| I::load(out[b].as_ptr()));
        for (column, w) in weights.iter().enumerate() {
            let w = I::load(w.as_ptr());
            for (b, sum) in sums.iter_mut().enumerate() {
                *sum = I::fma(w, I::splat(*x.get_unchecked(b * stride + column)), *sum);
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            I::store(out.as_mut_ptr(), sum);
        }
    }
}
