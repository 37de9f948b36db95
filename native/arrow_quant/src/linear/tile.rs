//! The inner loop: one or two sixteens of rows of weights by some rows of int8 activations.

use super::activations::Line;
use super::source::{STRIP, Source};
use crate::Geometry;
use crate::scheme::{COLUMNS, ROWS};
use crate::simd::Isa;

/// A strip of `W` sixteens of rows.
pub(super) struct Tile<'a, S, const W: usize> {
    pub geometry: &'a Geometry,
    pub sources: [&'a S; W],
    /// The first columns of the strip, all of it or those that the matrix has.
    pub columns: usize,
}

impl<S: Source, const W: usize> Tile<'_, S, W> {
    /// Add the products with rows of activations: `out` has all of the first sixteen, then of the next.
    ///
    /// # Safety
    /// The machine has the instructions of `I`, and the sources the columns.
    ///
    /// # Panics
    /// If there are not as many outputs.
    #[inline(always)]
    pub unsafe fn all<I: Isa>(&self, x: &[Line], out: &mut [[f32; ROWS]]) {
        assert!(out.len() == W * x.len() && self.columns <= STRIP);
        let out = out.as_mut_ptr();
        let mut row = 0;
        while row < x.len() {
            let left = x.len() - row;
            // SAFETY: the caller's; so many rows are left, of lines and of outputs.
            unsafe {
                let outs = std::array::from_fn(|w| out.add(w * x.len() + row));
                let x = x.as_ptr().add(row);
                row += match left.min(I::TILE) {
                    8.. => self.some::<I, 8>(x, outs),
                    4.. => self.some::<I, 4>(x, outs),
                    2 | 3 => self.some::<I, 2>(x, outs),
                    _ => self.some::<I, 1>(x, outs),
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn some<I: Isa, const B: usize>(
        &self,
        x: *const Line,
        out: [*mut [f32; ROWS]; W],
    ) -> usize {
        if B > I::TILE {
            return B;
        }
        let unit = self.geometry.unit();
        let settled = if I::SETTLES { settled(S::BITS) } else { unit };
        let padded = self.columns.next_multiple_of(COLUMNS);
        // SAFETY: the caller's: all columns are there, in weights and in activations.
        unsafe {
            for (u, column) in (0..self.columns).step_by(unit).enumerate() {
                let end = (column + unit).min(padded);
                let mut dots = [[I::no_sums(); B]; W];
                // Not by steps of a range, whose number a division finds.
                let mut column = column;
                while column < end {
                    let next = (column + settled).min(end);
                    S::multiply::<I, B, W>(&self.sources, column..next, x, &mut dots);
                    column = next;
                    if S::BITS < 8 {
                        for dots in &mut dots {
                            for dots in dots {
                                *dots = I::settle(*dots);
                            }
                        }
                    }
                }
                // One after the other, for a loop over them keeps them in memory.
                self.give::<I, B>(0, u, &dots[0], x, out[0]);
                if W == 2 {
                    self.give::<I, B>(1, u, &dots[W - 1], x, out[W - 1]);
                }
            }
        }
        B
    }

    /// Add what the integers of a unit stand for to the outputs of one sixteen.
    #[inline(always)]
    unsafe fn give<I: Isa, const B: usize>(
        &self,
        w: usize,
        unit: usize,
        dots: &[I::Sums; B],
        x: *const Line,
        out: *mut [f32; ROWS],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let (scale, mut minimum) = self.sources[w].grid::<I>(unit);
            if S::BITS == 8 {
                minimum = I::fma(scale, I::splat(I::CENTER), minimum);
            }
            // Outputs stay in memory: registers are for the dots, whose chains are long.
            for (b, &dots) in dots.iter().enumerate() {
                let out = out.add(b).cast();
                let sum = I::fma(I::total(dots), scale, I::load(out));
                let of_codes = I::splat(*(*x.add(b)).sums.get_unchecked(unit));
                I::store(out, I::fma(minimum, of_codes, sum));
            }
        }
    }
}

/// Columns after which sums of codes of some bits must settle.
const fn settled(bits: u8) -> usize {
    match bits {
        2 => 128,
        3 => 64,
        _ => 32,
    }
}
