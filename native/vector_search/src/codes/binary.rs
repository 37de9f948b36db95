//! One bit a value: its sign, against a query of four bits a value.

use super::int8::{MOST, term, within};
use super::{candidates, rescored};
use crate::exact::Options;
use crate::kernel::bits::{PLANES, sums};
use crate::vectors::check;
use crate::{Metric, Neighbor, Result, Vectors};
use cpu::memory;
use per_process::spread;
use rayon::prelude::*;
use std::ops::Range;

/// Rows as signs, with the length each stands for.
#[derive(Clone, Debug)]
pub struct BinaryCodes {
    metric: Metric,
    dim: usize,
    words: usize,
    codes: Vec<u64>,
    /// For each row, the factor of the signed sum, the term added, and how many signs are positive.
    lines: Vec<[f32; 3]>,
}

/// The factor and the term of one row.
///
/// The row is replaced by `c * sign(row)`; c is chosen so that the product with the row itself is
/// right: the squared length over the sum of absolute values.
fn line(metric: Metric, values: &[f32]) -> [f32; 2] {
    let square: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let sum: f64 = values.iter().map(|&x| f64::from(x.abs())).sum();
    if sum == 0.0 {
        return [0.0, if metric == Metric::Cosine { 1.0 } else { 0.0 }];
    }
    match metric {
        Metric::InnerProduct => [-within(square / sum, MOST), 0.0],
        Metric::L2 => [-within(2.0 * square / sum, MOST), term(square)],
        Metric::Cosine => [-within(square.sqrt() / sum, 1.0), 1.0],
    }
}

/// A query as bit planes, and what turns a weighted count into a product with signs.
struct Quantized {
    planes: Vec<[u64; PLANES]>,
    /// `sum(q * sign) = 2 * (low * ones + step * count) - total`; `ones` is folded in below.
    step: f32,
    low: f32,
    total: f32,
}

impl Quantized {
    fn new(query: &[f32], words: usize) -> Self {
        let levels = f32::from((1u16 << PLANES) - 1);
        // As for rows, what is too long is made shorter, and exact distances decide.
        let largest = query.iter().fold(0f32, |m, x| m.max(x.abs()));
        let down = (MOST / largest).min(1.0);
        let query: Vec<f32> = query.iter().map(|x| x * down).collect();
        let low = query.iter().copied().fold(f32::INFINITY, f32::min);
        let high = query.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let step = (high / levels - low / levels).max(f32::MIN_POSITIVE);
        let mut planes = vec![[0; PLANES]; words];
        for (i, &x) in query.iter().enumerate() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 15")]
            let value = ((x - low) / step).round().clamp(0.0, levels) as u64;
            for (p, plane) in planes[i / 64].iter_mut().enumerate() {
                *plane |= (value >> p & 1) << (i % 64);
            }
        }
        Self { planes, step, low, total: query.iter().sum() }
    }
}

impl BinaryCodes {
    /// Encode all rows, in parallel.
    #[must_use]
    pub fn encode(vectors: &Vectors<'_>, metric: Metric) -> Self {
        let (dim, rows) = (vectors.dim(), vectors.len());
        let words = dim.div_ceil(64);
        let mut codes = memory::filled(0u64, words * rows);
        let mut lines = memory::filled([0.0; 3], rows);
        let encode =
            |values: &mut Vec<f32>, (row, (codes, out)): (usize, (&mut [u64], &mut [f32; 3]))| {
                vectors.widen_row(row, values);
                for (i, &x) in values.iter().enumerate() {
                    codes[i / 64] |= u64::from(x > 0.0) << (i % 64);
                }
                let [factor, term] = line(metric, values);
                let ones: u32 = codes.iter().map(|word| word.count_ones()).sum();
                #[expect(clippy::cast_precision_loss, reason = "at most the dimension")]
                let ones = ones as f32;
                *out = [factor, term, ones];
            };
        spread(|| {
            let rows = codes.par_chunks_mut(words).zip(&mut lines).enumerate();
            rows.for_each_init(|| vec![0.0; dim], encode);
        });
        Self { metric, dim, words, codes, lines }
    }

    /// The rows with the smallest approximate distances.
    ///
    /// # Errors
    /// If the query is unfit.
    pub fn candidates(&self, query: &[f32], options: &Options<'_>) -> Result<Vec<Neighbor>> {
        check("query", query, self.dim)?;
        let query = Quantized::new(&self.metric.prepare(query), self.words);
        let run = sums(options.level);
        let products = |rows: Range<usize>, out: &mut [u32]| {
            run(&query.planes, &self.codes[rows.start * self.words..rows.end * self.words], out);
        };
        Ok(candidates(&self.lines, options, products, |[factor, term, ones], sum| {
            #[expect(clippy::cast_precision_loss, reason = "an approximation by intent")]
            let set = query.low * ones + query.step * sum as f32;
            factor * (2.0 * set - query.total) + term
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
}
