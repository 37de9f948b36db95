//! The inner loop: one or two 16-row panels of weights times some rows of int8 activations.

use super::activations::Line;
use super::source::{STRIP, Source};
use crate::Geometry;
use crate::scheme::{COLUMNS, ROWS};
use crate::simd::Isa;

/// A strip of columns of `W` 16-row panels.
pub(super) struct Tile<'a, S, const W: usize> {
    pub geometry: &'a Geometry,
    pub sources: [&'a S; W],
    /// The first columns of the strip, all of it or those that the matrix has.
    pub columns: usize,
}

impl<S: Source, const W: usize> Tile<'_, S, W> {
    /// Accumulate the panels times all activation rows: `out` has all rows of the first panel, then
    /// of the next.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`, and the sources the columns.
    ///
    /// # Panics
    ///
    /// If there are not as many outputs.
    #[inline(always)]
    pub unsafe fn all<I: Isa>(&self, x: &[Line], out: &mut [[f32; ROWS]]) {
        assert!(out.len() == W * x.len() && self.columns <= STRIP);
        let out = out.as_mut_ptr();
        let mut row = 0;
        while row < x.len() {
            let left = x.len() - row;
            // SAFETY: the machine has the instructions of `I`, and the sources the columns (this
            // function's contract). `out` is `W` times as long as `x`, as was checked, so `left`
            // lines and outputs of each panel are there, and at most `left` are used.
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

    /// Accumulate the panels times the `B` activation rows at `x`; returns `B`.
    ///
    /// # Safety
    ///
    /// As [`Tile::all`]; and `x` must be valid for reads of `B` lines, and each of `out` for reads
    /// and writes of `B` outputs.
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
        // SAFETY: this function's contract is that of `multiply` and `give`: columns end with a
        // tile, at most at `STRIP`, which `all` checked, and units are those of the columns.
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

    /// Scale the integers of a unit and accumulate them in the outputs of one panel.
    ///
    /// # Safety
    ///
    /// As [`Tile::some`], with the outputs of the panel `w`, which must have the unit.
    #[inline(always)]
    unsafe fn give<I: Isa, const B: usize>(
        &self,
        w: usize,
        unit: usize,
        dots: &[I::Sums; B],
        x: *const Line,
        out: *mut [f32; ROWS],
    ) {
        // SAFETY: the machine has the instructions of `I`, the panel has the unit, and `x` and
        // `out` are valid for `B` (this function's contract); a line has sums of as many units as
        // a strip can have.
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
