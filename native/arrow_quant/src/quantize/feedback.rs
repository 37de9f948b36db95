//! Second-order rounding: what one column loses, later columns make good.
//!
//! This is GPTQ (arXiv 2210.17323) with activation order and static groups, in the form of LDLQ
//! (arXiv 2307.13304, theorem 6, which shows that both are the same): with `H = U D U^T`, `U` unit
//! upper triangular, column k is rounded after adding `sum over j < k of (w_j - q_j) U[j, k]`.

use super::round::{Rounding, store};
use crate::params::Grid;
use crate::scheme::ROWS;
use crate::simd::Isa;
use crate::{Error, Geometry, Result};
use rayon::prelude::*;

/// What is added to every eigenvalue, as a part of the mean of the diagonal.
const DAMPING: f64 = 0.01;

/// The order in which columns are rounded, and how errors go on to later ones.
pub(super) struct Feedback {
    order: Vec<usize>,
    /// For each column in that order, the factors of the errors of all columns before it.
    factors: Vec<f32>,
}

impl Feedback {
    /// Factor the second moment of the inputs, (columns, columns).
    ///
    /// Columns are rounded in the order of their second moments, the largest first. All zeros mean
    /// that nothing is known.
    pub fn new(hessian: &[f64], columns: usize) -> Result<Self> {
        let mut order: Vec<usize> = (0..columns).collect();
        let diagonal: Vec<f64> = order.iter().map(|&i| hessian[i * (columns + 1)]).collect();
        order.sort_by(|&a, &b| diagonal[b].total_cmp(&diagonal[a]).then(a.cmp(&b)));
        let mean = diagonal.iter().sum::<f64>() / columns.max(1) as f64;
        let damping = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        // Elimination from the last column to the first leaves rows of U^T below the diagonal.
        let mut a = vec![0.0; columns * columns];
        for (row, &i) in a.chunks_mut(columns.max(1)).zip(order.iter().rev()) {
            for (x, &j) in row.iter_mut().zip(order.iter().rev()) {
                *x = hessian[i * columns + j] + if i == j { damping } else { 0.0 };
            }
        }
        let mut factors = vec![0.0; columns * columns.saturating_sub(1) / 2];
        for k in 0..columns {
            let (done, rest) = a.split_at_mut((k + 1) * columns);
            let pivot = &done[k * columns + k..];
            let size = pivot[0];
            if size <= 0.0 || size.is_nan() {
                return Err(Error::Statistic {
                    what: "hessian",
                    position: order[columns - 1 - k] * (columns + 1),
                    value: diagonal[order[columns - 1 - k]],
                    expected: "a symmetric matrix without negative eigenvalues, such as X^T X",
                });
            }
            rest.par_chunks_mut(columns).enumerate().for_each(|(r, row)| {
                let factor = pivot[r + 1] / size;
                for (x, p) in row[k + 1 + r..].iter_mut().zip(&pivot[r + 1..]) {
                    *x -= factor * p;
                }
            });
            let last = columns - 1 - k; // the position of this column in the order
            for (x, &p) in factors[last * last.saturating_sub(1) / 2..][..last]
                .iter_mut()
                .rev()
                .zip(&pivot[1..])
            {
                *x = (p / size) as f32;
            }
        }
        Ok(Self { order, factors })
    }

    /// Round every weight and pack it.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`.
    #[inline(always)]
    pub unsafe fn round<I: Isa>(
        &self,
        geometry: &Geometry,
        weights: &[[f32; ROWS]],
        grids: &[Grid],
        out: &mut [u8],
    ) {
        let largest = geometry.scheme.max_code();
        let mut codes = vec![[0.0; ROWS]; weights.len()];
        let mut errors = vec![[0.0; ROWS]; weights.len()];
        // SAFETY: the machine has the instructions of `I` (this function's contract); arrays of 16
        // floats are read and written, and codes are from 0 to `largest`, at most 255.
        unsafe {
            for (k, &column) in self.order.iter().enumerate() {
                let factors = &self.factors[k * k.saturating_sub(1) / 2..][..k];
                let w = I::load(weights[column].as_ptr());
                let mut sums = [w, I::splat(0.0)];
                for (errors, factors) in errors.chunks(2).zip(factors.chunks(2)) {
                    for ((sum, error), &factor) in sums.iter_mut().zip(errors).zip(factors) {
                        *sum = I::fma(I::load(error.as_ptr()), I::splat(factor), *sum);
                    }
                }
                let grid = &grids[column / geometry.group];
                let code = Rounding::<I>::of(grid, largest).code(I::add(sums[0], sums[1]));
                let rounded =
                    I::fma(code, I::load(grid.scale.as_ptr()), I::load(grid.minimum.as_ptr()));
                I::store(codes[column].as_mut_ptr(), code);
                I::store(errors[k].as_mut_ptr(), I::sub(w, rounded));
            }
            store::<I>(geometry, &codes, out);
        }
    }
}
