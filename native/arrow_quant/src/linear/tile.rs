//! The inner loop: sixteen rows of weights by up to sixteen rows of int8 activations.

use super::activations::{Rounded, tile_rows};
use super::source::Source;
use crate::Geometry;
use crate::scheme::{COLUMNS, ROWS};
use crate::simd::Isa;
use std::ops::Range;

/// Bytes that are fetched together.
const LINE: usize = 64;

/// Some columns of sixteen rows.
pub(super) struct Tile<'a, S> {
    pub geometry: &'a Geometry,
    pub source: &'a S,
    /// The first is a multiple of a unit and of a tile, and so is the end, or that of the matrix.
    pub columns: Range<usize>,
}

impl<S: Source> Tile<'_, S> {
    /// Add the products with all rows of activations, and fetch meanwhile what is wanted next.
    ///
    /// # Safety
    /// The machine has the instructions of `I`, and the source the columns.
    ///
    /// # Panics
    /// If the activations are of other shape.
    #[inline(always)]
    pub unsafe fn all<I: Isa>(&self, x: &Rounded, next: &[u8], out: &mut [[f32; ROWS]]) {
        assert!(self.columns.end <= self.geometry.columns);
        let (width, unit) = (self.geometry.padded_columns(), self.geometry.unit());
        let units = self.geometry.columns.div_ceil(unit);
        let mut next = next.chunks(next.len().div_ceil(out.len().div_ceil(I::TILE)).max(LINE));
        let mut row = 0;
        while row < out.len() {
            let rows = tile_rows(out.len() - row, I::TILE);
            let (codes, sums) = x.tile(row, rows);
            assert!(codes.len() == rows * width && sums.len() == rows * units);
            let out = &mut out[row..row + rows];
            // SAFETY: the caller's; lengths were checked.
            unsafe {
                for line in next.next().unwrap_or_default().chunks(LINE) {
                    I::prefetch(line.as_ptr());
                }
                match rows {
                    16 if I::TILE >= 16 => self.some::<I, 16>(codes, sums, out),
                    8 if I::TILE >= 8 => self.some::<I, 8>(codes, sums, out),
                    4 => self.some::<I, 4>(codes, sums, out),
                    2 => self.some::<I, 2>(codes, sums, out),
                    _ => self.some::<I, 1>(codes, sums, out),
                }
            }
            row += rows;
        }
    }

    #[inline(always)]
    unsafe fn some<I: Isa, const B: usize>(&self, x: &[i8], sums: &[f32], out: &mut [[f32; ROWS]]) {
        let unit = self.geometry.unit();
        // SAFETY: the caller's: all columns are there, in weights and in activations.
        unsafe {
            let out = out.as_mut_ptr();
            let mut sums = sums.as_ptr().add(self.columns.start / unit * B);
            for (u, column) in self.columns.clone().step_by(unit).enumerate() {
                let end = (column + unit).min(self.geometry.padded_columns());
                let mut dots = [I::no_sums(); B];
                for column in (column..end).step_by(COLUMNS) {
                    self.half::<I, B>(column, x, &mut dots);
                    if unit >= COLUMNS {
                        self.half::<I, B>(column + COLUMNS / 2, x, &mut dots);
                    }
                    if !S::BYTES {
                        for dots in &mut dots {
                            *dots = I::settle(*dots);
                        }
                    }
                }
                let (scale, mut minimum) = self.source.grid::<I>(u);
                if S::BYTES {
                    minimum = I::fma(scale, I::splat(I::CENTER), minimum);
                }
                // Outputs stay in memory: registers are for the dots, whose chains are long.
                for (b, &dots) in dots.iter().enumerate() {
                    let out = out.add(b).cast();
                    let sum = I::fma(I::total(dots), scale, I::load(out));
                    I::store(out, I::fma(minimum, I::splat(*sums.add(b)), sum));
                }
                sums = sums.add(B);
            }
        }
    }

    /// Add the products of 16 columns.
    #[inline(always)]
    unsafe fn half<I: Isa, const B: usize>(
        &self,
        column: usize,
        x: &[i8],
        dots: &mut [I::Sums; B],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let mut x = x.as_ptr().add(column * B);
            for quad in self.source.half::<I>(column) {
                for dots in &mut *dots {
                    *dots = if S::BYTES {
                        I::dot_bytes(*dots, quad, x)
                    } else {
                        I::dot(*dots, quad, x)
                    };
                    x = x.add(4);
                }
            }
        }
    }
}
