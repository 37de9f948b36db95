//! One byte a value, with a scale for each row.

use super::{candidates, rescored};
use crate::exact::Options;
use crate::kernel::int8::{Query, dots};
use crate::vectors::check;
use crate::{Error, Metric, Neighbor, Result, Vectors};
use cpu::memory;
use per_process::spread;
use rayon::prelude::*;
use std::ops::Range;

/// Rows as integers in `-127..=127`, with what turns integer products into distances.
#[derive(Clone, Debug)]
pub struct Int8Codes {
    metric: Metric,
    dim: usize,
    codes: Vec<i8>,
    /// For each row, the factor of the integer product and the term added.
    lines: Vec<[f32; 2]>,
}

/// The nearest whole number of a small one, ties to even: adding this leaves no bits for a fraction.
/// The function for it is a call for each value where SSE4.1 is not assumed.
const WHOLE: f32 = (3 << 22) as f32;

/// Round a vector to integers; the scale is what one of them stands for.
#[must_use]
pub fn quantize(values: &[f32], out: &mut [i8]) -> f64 {
    let largest = values.iter().fold(0f32, |m, x| m.max(x.abs()));
    // The scales of the smallest have few bits; and a reciprocal would overflow.
    let up = if largest < 1e-30 { TINY } else { 1.0 };
    let scale = largest * up / 127.0;
    for (o, &x) in out.iter_mut().zip(values) {
        #[expect(clippy::cast_possible_truncation, reason = "in range; NaN becomes 0")]
        let code = if scale > 0.0 { (x * up / scale + WHOLE - WHOLE) as i8 } else { 0 };
        *o = code; // from -127 to 127, for the scale is rounded by less than half a code
    }
    f64::from(scale) / f64::from(up)
}

/// What brings values below 1e-30 to a good size.
const TINY: f32 = (1u128 << 100) as f32;

/// The most that a scale, a factor and a term are: a scale times a factor times the product of two
/// codes, and two terms, are finite together. Vectors longer than 1e16 would have larger ones; their
/// exact distances decide.
pub const MOST: f32 = (1u64 << 48) as f32;
const MOST_TERM: f32 = (1u128 << 126) as f32;

/// The most where a number is larger, or NaN as what comes of values that are not finite.
#[expect(clippy::cast_possible_truncation, reason = "an approximation by intent")]
pub fn within(number: f64, most: f32) -> f32 {
    number.min(f64::from(most)) as f32
}

/// The square of a length as a term.
pub fn term(square: f64) -> f32 {
    within(square, MOST_TERM)
}

/// The factor and the term of one row: its distance is `factor * product * query scale + term`. Both
/// are finite.
#[must_use]
pub fn line(metric: Metric, values: &[f32], scale: f64) -> [f32; 2] {
    let square: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    match metric {
        Metric::InnerProduct => [-within(scale, MOST), 0.0],
        Metric::L2 => [-within(2.0 * scale, MOST), term(square)],
        Metric::Cosine if square > 0.0 => [-within(scale / square.sqrt(), 1.0), 1.0],
        Metric::Cosine => [0.0, 1.0],
    }
}

impl Int8Codes {
    /// Encode all rows, in parallel.
    ///
    /// Rows that are not finite get codes too; their exact distance decides.
    ///
    /// # Errors
    /// If the dimension is above 65536, where integer products could overflow.
    pub fn encode(vectors: &Vectors<'_>, metric: Metric) -> Result<Self> {
        let (dim, rows) = (vectors.dim(), vectors.len());
        if dim > 1 << 16 {
            return Err(Error::Dimension(dim));
        }
        let mut codes = memory::filled(0, dim * rows);
        let mut lines = memory::filled([0.0; 2], rows);
        let encode =
            |values: &mut Vec<f32>, (row, (codes, out)): (usize, (&mut [i8], &mut [f32; 2]))| {
                vectors.widen_row(row, values);
                let scale = quantize(values, codes);
                *out = line(metric, values, scale);
            };
        spread(|| {
            let rows = codes.par_chunks_mut(dim).zip(&mut lines).enumerate();
            rows.for_each_init(|| vec![0.0; dim], encode);
        });
        Ok(Self { metric, dim, codes, lines })
    }

    /// The rows with the smallest approximate distances.
    ///
    /// # Errors
    /// If the query is unfit.
    pub fn candidates(&self, query: &[f32], options: &Options<'_>) -> Result<Vec<Neighbor>> {
        check("query", query, self.dim)?;
        let query = self.metric.prepare(query);
        let mut codes = vec![0; self.dim];
        let scale = within(quantize(&query, &mut codes), MOST);
        let (query, run) = (Query::new(&codes), dots(options.level));
        let products = |rows: Range<usize>, out: &mut [i32]| {
            run(&query, &self.codes[rows.start * self.dim..rows.end * self.dim], out);
        };
        Ok(candidates(&self.lines, options, products, |[factor, term], dot| {
            #[expect(clippy::cast_precision_loss, reason = "an approximation by intent")]
            let product = dot as f32 * scale;
            factor * product + term
        }))
    }

    /// Scan the codes for `candidates` rows, then the exact `k` nearest of them.
    ///
    /// # Errors
    /// If the query is unfit, or the vectors are not those that were encoded.
    pub fn search(
        &self,
        vectors: &Vectors<'_>,
        query: &[f32],
        candidates: usize,
        options: &Options<'_>,
    ) -> Result<Vec<Neighbor>> {
        let find = |wide: &Options<'_>| self.candidates(query, wide);
        rescored(vectors, query, self.metric, candidates, options, find)
    }

    /// How distances are measured.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_below_what_products_allow() {
        for smallest in [1, 2, 3, 100].map(f32::from_bits) {
            let mut codes = [0; 4];
            let _ = quantize(&[-smallest, smallest, -1.4 * smallest, 0.0], &mut codes);
            assert!(codes.iter().all(|&code| code >= -127), "{smallest:e} {codes:?}");
        }
    }
}
