//! Activations as the kernels read them: int8 with a scale a row.

use crate::Geometry;
use crate::scheme::ROWS;
use crate::simd::{Isa, Job};

/// Some rows of activations, rounded to integers in `-127..=127`.
///
/// Rows lie in tiles of [`Isa::TILE`], then of what powers of two are left. In a tile come the first four
/// columns of each of its rows, then the next four of each.
#[derive(Debug, Default)]
pub(super) struct Rounded {
    codes: Vec<i8>,
    /// For each tile, for each unit of columns, the sum of each of its rows' codes. The zero-point
    /// term must use them and not the floats' sums, or rounding errors of codes do not cancel.
    sums: Vec<f32>,
    /// What a code of a row stands for; NaN if the row holds NaN or an infinity.
    pub scales: Vec<f32>,
    width: usize,
    units: usize,
}

/// Rows of a tile, of those that are left and those that find room in registers.
pub(super) fn tile_rows(left: usize, most: usize) -> usize {
    match left.min(most) {
        16.. => 16,
        8.. => 8,
        4.. => 4,
        2 | 3 => 2,
        _ => 1,
    }
}

impl Rounded {
    /// Codes of a tile, and its sums.
    pub fn tile(&self, row: usize, rows: usize) -> (&[i8], &[f32]) {
        (
            &self.codes[row * self.width..(row + rows) * self.width],
            &self.sums[row * self.units..(row + rows) * self.units],
        )
    }
}

/// Round rows of activations.
pub(super) struct Round<'a> {
    pub geometry: &'a Geometry,
    pub x: &'a [f32],
}

impl Job for Round<'_> {
    type Output = Rounded;

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Rounded {
        let Self { geometry, x } = self;
        let (columns, width) = (geometry.columns, geometry.padded_columns());
        let (batch, units) = (x.len() / columns, columns.div_ceil(geometry.unit()));
        let mut out = Rounded {
            codes: vec![0; batch * width],
            sums: vec![0.0; batch * units],
            scales: vec![0.0; batch],
            width,
            units,
        };
        let mut line = vec![0i8; width];
        let mut row = 0;
        while row < batch {
            let rows = tile_rows(batch - row, I::TILE);
            for r in row..row + rows {
                // SAFETY: the caller has the instructions.
                out.scales[r] =
                    unsafe { round_row::<I>(&x[r * columns..(r + 1) * columns], &mut line) };
                let codes = out.codes[row * width..].as_chunks_mut::<4>().0;
                for (q, quad) in line.as_chunks::<4>().0.iter().enumerate() {
                    codes[q * rows + r - row] = *quad;
                }
                let sums = &mut out.sums[row * units..];
                for (u, unit) in line.chunks(geometry.unit()).take(units).enumerate() {
                    let sum: i32 = unit.iter().map(|&x| i32::from(x)).sum();
                    sums[u * rows + r - row] = sum as f32;
                }
            }
            row += rows;
        }
        out
    }
}

/// Round one row to `out`, which is longer and zero there, and give its scale.
#[inline(always)]
unsafe fn round_row<I: Isa>(x: &[f32], out: &mut [i8]) -> f32 {
    let (whole, rest) = x.as_chunks::<ROWS>();
    let (lines, tail) = out.as_chunks_mut::<ROWS>();
    // SAFETY: the caller has the instructions; arrays hold the lanes.
    unsafe {
        let zero = I::splat(0.0);
        let (mut largest, mut wrong) = (zero, zero);
        let mut last = [0.0; ROWS];
        last[..rest.len()].copy_from_slice(rest);
        for x in whole.iter().chain([&last]) {
            let x = I::load(x.as_ptr());
            largest = I::max(largest, I::max(x, I::sub(zero, x)));
            wrong = I::fma(x, zero, wrong); // NaN if x is not finite
        }
        let (mut sizes, mut wrongs) = ([0.0; ROWS], [0.0; ROWS]);
        I::store(sizes.as_mut_ptr(), largest);
        I::store(wrongs.as_mut_ptr(), wrong);
        let scale = sizes.iter().fold(0f32, |a, &b| a.max(b)) / 127.0;
        if wrongs.iter().any(|x| x.is_nan()) {
            out.fill(0);
            return f32::NAN;
        }
        // Of numbers whose reciprocal is infinite only zeros are exact, and they are within 1e-36.
        let inverse = I::splat(if scale > 1e-36 { 1.0 / scale } else { 0.0 });
        let code = |x: &[f32; ROWS]| I::round(I::mul(I::load(x.as_ptr()), inverse));
        for (x, line) in whole.iter().zip(&mut *lines) {
            I::write_bytes(line.as_mut_ptr(), code(x));
        }
        let mut codes = [0; ROWS];
        I::write_bytes(codes.as_mut_ptr(), code(&last));
        let end = if whole.len() < lines.len() { &mut lines[whole.len()] } else { tail };
        let kept = end.len().min(ROWS);
        end[..kept].copy_from_slice(&codes[..kept]);
        scale
    }
}
