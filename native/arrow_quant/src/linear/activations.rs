//! Activations as the kernels read them: int8 with a scale a row.

use super::source::{LEAST, STRIP};
use crate::Geometry;
use crate::Result;
use crate::pool::each;
use crate::scheme::ROWS;
use crate::simd::{Isa, Job, Level, run};

/// Rows that a thread rounds before it asks for more.
const SOME: usize = 16;

/// A strip of one row, rounded to integers in `-127..=127`; zero beyond the last column.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Line {
    pub codes: [i8; STRIP],
    /// For each unit of columns the sum of its codes. The zero-point term must use them and not the
    /// floats' sums, or rounding errors of codes do not cancel.
    pub sums: [f32; STRIP / LEAST],
}

/// Some rows of activations.
pub(super) struct Rounded {
    /// All rows of the first strip, then all of the next: what is used together lies together.
    lines: Vec<Line>,
    /// What a code of a row stands for; NaN if the row holds NaN or an infinity.
    pub scales: Vec<f32>,
}

impl Rounded {
    /// Round rows, of which there is at least one.
    ///
    /// # Errors
    /// If work of the pool fails, which this does not.
    pub fn new(geometry: &Geometry, x: &[f32], threads: usize, level: Level) -> Result<Self> {
        let batch = x.len() / geometry.columns;
        let empty = Line { codes: [0; STRIP], sums: [0.0; STRIP / LEAST] };
        let mut lines = vec![empty; batch * geometry.columns.div_ceil(STRIP)];
        let mut scales = vec![0.0; batch];
        let mut some: Vec<Round<'_>> = x
            .chunks(SOME * geometry.columns)
            .zip(scales.chunks_mut(SOME))
            .map(|(x, scales)| Round { geometry, x, scales, lines: Vec::new() })
            .collect();
        for strip in lines.chunks_mut(batch) {
            for (round, lines) in some.iter_mut().zip(strip.chunks_mut(SOME)) {
                round.lines.push(lines);
            }
        }
        each(threads, some, |round| {
            run(level, round);
            Ok(())
        })?;
        Ok(Self { lines, scales })
    }

    /// The strips, each of all rows.
    pub fn strips(&self) -> impl Iterator<Item = &[Line]> {
        self.lines.chunks(self.scales.len())
    }
}

/// Round rows of activations.
struct Round<'a> {
    geometry: &'a Geometry,
    x: &'a [f32],
    scales: &'a mut [f32],
    /// For each strip those of all rows.
    lines: Vec<&'a mut [Line]>,
}

impl Job for Round<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(mut self) {
        let unit = self.geometry.unit();
        let rows = self.x.chunks_exact(self.geometry.columns).zip(self.scales);
        for (row, (x, scale)) in rows.enumerate() {
            // SAFETY: the machine has the instructions of `I` (contract of `Job::run`).
            *scale = unsafe { scale_of::<I>(x) };
            // Of numbers whose reciprocal is infinite only zeros are exact, and they are within 1e-36.
            let inverse = if *scale > 1e-36 { 1.0 / *scale } else { 0.0 };
            for (x, lines) in x.chunks(STRIP).zip(&mut self.lines) {
                if !scale.is_nan() {
                    // SAFETY: the machine has the instructions of `I` (contract of `Job::run`). A
                    // scale that is no NaN is the largest size over 127 of numbers that are all
                    // finite, so numbers times its inverse are from -127 to 127.
                    unsafe { round::<I>(x, inverse, unit, &mut lines[row]) };
                }
            }
        }
    }
}

/// What a code of a row stands for; NaN if the row holds NaN or an infinity.
///
/// # Safety
///
/// The machine must have the instructions of `I`.
#[inline(always)]
unsafe fn scale_of<I: Isa>(x: &[f32]) -> f32 {
    let (whole, rest) = x.as_chunks::<{ 2 * ROWS }>();
    let mut last = [0.0; 2 * ROWS];
    last[..rest.len()].copy_from_slice(rest);
    let mut lanes = [[0.0; ROWS]; 4];
    // SAFETY: the machine has the instructions of `I` (this function's contract); 16 floats are
    // read at 0 and at 16 of arrays of 32, and arrays of 16 are written.
    unsafe {
        let zero = I::splat(0.0);
        // Two of each, for one would wait for itself.
        let (mut largest, mut wrong) = ([zero; 2], [zero; 2]);
        for x in whole.iter().chain([&last]) {
            for i in 0..2 {
                let x = I::load(x.as_ptr().add(i * ROWS));
                largest[i] = I::max(largest[i], I::max(x, I::sub(zero, x)));
                wrong[i] = I::fma(x, zero, wrong[i]); // NaN if x is not finite
            }
        }
        let all = [largest[0], largest[1], wrong[0], wrong[1]];
        for (lanes, x) in lanes.iter_mut().zip(all) {
            I::store(lanes.as_mut_ptr(), x);
        }
    }
    let (largest, wrong) = lanes.as_flattened().split_at(2 * ROWS);
    if wrong.iter().any(|x| x.is_nan()) {
        return f32::NAN;
    }
    largest.iter().fold(0f32, |a, &b| a.max(b)) / 127.0
}

/// Round the columns of one line.
///
/// # Safety
///
/// The machine must have the instructions of `I`, and numbers times `inverse` be from -127 to 127
/// once they are rounded.
#[inline(always)]
unsafe fn round<I: Isa>(x: &[f32], inverse: f32, unit: usize, line: &mut Line) {
    let (units, codes) = (x.chunks(unit), line.codes.chunks_mut(unit));
    for ((x, codes), sum) in units.zip(codes).zip(&mut line.sums) {
        let (whole, rest) = x.as_chunks::<ROWS>();
        let mut last = [0.0; ROWS];
        last[..rest.len()].copy_from_slice(rest);
        let last = (!rest.is_empty()).then_some(&last);
        let mut lanes = [0.0; ROWS];
        // SAFETY: the machine has the instructions of `I`, and numbers are in range (this
        // function's contract); arrays of 16 floats and 16 codes are read and written.
        unsafe {
            let (inverse, mut sums) = (I::splat(inverse), I::splat(0.0));
            for (x, codes) in whole.iter().chain(last).zip(codes.as_chunks_mut::<ROWS>().0) {
                let code = I::round(I::mul(I::load(x.as_ptr()), inverse));
                I::write_bytes(codes.as_mut_ptr(), code);
                sums = I::add(sums, code);
            }
            I::store(lanes.as_mut_ptr(), sums);
        }
        *sum = total(&lanes);
    }
}

/// The sum, by halves: many at once, for one would wait for itself.
#[inline(always)]
fn total(x: &[f32; ROWS]) -> f32 {
    let x: [f32; 8] = std::array::from_fn(|i| x[i] + x[i + 8]);
    let x: [f32; 4] = std::array::from_fn(|i| x[i] + x[i + 4]);
    (x[0] + x[2]) + (x[1] + x[3])
}
