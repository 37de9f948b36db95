//! Panels of 16 rows of packed weights times all rows of int8 activations.

use super::activations::{Line, Rounded};
use super::source::{Packed, STRIP, Strip};
use super::tile::Tile;
use crate::QuantizedMatrix;
use crate::scheme::ROWS;
use crate::simd::{Isa, Job, Level, run};

/// Multiply 16-row panels, from one on, with the integers of all activation rows.
pub(super) fn products(
    matrix: &QuantizedMatrix<'_>,
    first: usize,
    x: &Rounded,
    level: Level,
    out: &mut [[f32; ROWS]],
) {
    out.fill([0.0; ROWS]);
    match matrix.geometry().scheme.bits() {
        2 => run(level, Products::<2> { matrix, first, x, out }),
        3 => run(level, Products::<3> { matrix, first, x, out }),
        4 => run(level, Products::<4> { matrix, first, x, out }),
        _ => run(level, Products::<8> { matrix, first, x, out }),
    }
}

struct Products<'a, const BITS: u8> {
    matrix: &'a QuantizedMatrix<'a>,
    first: usize,
    x: &'a Rounded,
    out: &'a mut [[f32; ROWS]],
}

impl<const BITS: u8> Job for Products<'_, BITS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let batch = self.x.scales.len();
        // Every tile of activations would unpack again what it multiplies with.
        let mut strips = (batch > I::TILE).then_some([const { Strip::new() }; 2]);
        // Weights come from memory in the order in which they lie there. One row waits for nothing
        // else, and has them sooner from one place than from two.
        let wide = if batch == 1 { 1 } else { I::WIDE };
        let blocks = (self.first..).step_by(wide);
        for (block, out) in blocks.zip(self.out.chunks_mut(wide * batch)) {
            for (strip, x) in self.x.strips().enumerate() {
                let place = Place { matrix: self.matrix, block, strip };
                // SAFETY: the machine has the instructions of `I` (contract of `Job::run`).
                unsafe { place.multiply::<I, BITS>(&mut strips, x, out) };
            }
            for (block, sums) in (block..).zip(out.chunks_mut(batch)) {
                if let Some(factors) = self.matrix.factors(block) {
                    for sums in sums {
                        *sums = std::array::from_fn(|row| sums[row] * factors[row]);
                    }
                }
            }
        }
    }
}

/// A strip of columns of one 16-row panel, or of two.
struct Place<'a> {
    matrix: &'a QuantizedMatrix<'a>,
    block: usize,
    strip: usize,
}

impl Place<'_> {
    fn columns(&self) -> usize {
        STRIP.min(self.matrix.geometry().columns - self.strip * STRIP)
    }

    fn source<const BITS: u8>(&self, w: usize) -> Packed<'_, BITS> {
        Packed::new(self.matrix.geometry(), self.matrix.block(self.block + w), self.strip)
    }

    /// Accumulate the products with all activation rows.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`.
    #[inline(always)]
    unsafe fn multiply<I: Isa, const BITS: u8>(
        &self,
        strips: &mut Option<[Strip<BITS>; 2]>,
        x: &[Line],
        out: &mut [[f32; ROWS]],
    ) {
        let two = I::WIDE == 2 && out.len() == 2 * x.len();
        // SAFETY: the machine has the instructions of `I` (this function's contract).
        unsafe {
            match strips {
                Some(strips) if two => self.unpacked::<I, BITS, 2>(strips, x, out),
                Some(strips) => self.unpacked::<I, BITS, 1>(strips, x, out),
                None if two => self.packed::<I, BITS, 2>(x, out),
                None => self.packed::<I, BITS, 1>(x, out),
            }
        }
    }

    /// Accumulate the products of packed weights.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`.
    #[inline(always)]
    unsafe fn packed<I: Isa, const BITS: u8, const W: usize>(
        &self,
        x: &[Line],
        out: &mut [[f32; ROWS]],
    ) {
        let sources: [Packed<'_, BITS>; W] = std::array::from_fn(|w| self.source(w));
        let (geometry, columns) = (self.matrix.geometry(), self.columns());
        // SAFETY: the machine has the instructions of `I` (this function's contract); `columns` are
        // those that the matrix has in this strip, and its tiles are stored whole.
        unsafe { Tile { geometry, sources: sources.each_ref(), columns }.all::<I>(x, out) }
    }

    /// Unpack weights and accumulate their products.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`.
    #[inline(always)]
    unsafe fn unpacked<I: Isa, const BITS: u8, const W: usize>(
        &self,
        strips: &mut [Strip<BITS>; 2],
        x: &[Line],
        out: &mut [[f32; ROWS]],
    ) {
        let (geometry, columns) = (self.matrix.geometry(), self.columns());
        // SAFETY: the machine has the instructions of `I` (this function's contract); `columns` are
        // those that the matrix has in this strip, its tiles are stored whole, and `fill` unpacks
        // all of them.
        unsafe {
            for (w, strip) in strips.iter_mut().enumerate().take(W) {
                strip.fill::<I>(&self.source(w), columns);
            }
            let sources: [&Strip<BITS>; W] = std::array::from_fn(|w| &strips[w]);
            Tile { geometry, sources, columns }.all::<I>(x, out);
        }
    }
}
