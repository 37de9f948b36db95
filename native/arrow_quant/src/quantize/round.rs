//! Codes of weights, given what codes mean.

use crate::Geometry;
use crate::pack::{QUAD, QUADS, Tile, pack};
use crate::params::Grid;
use crate::scheme::{COLUMNS, ROWS};
use crate::simd::Isa;

/// A grid in registers: the code of `w` is `w * inverse + offset`, rounded and clamped.
pub(super) struct Rounding<I: Isa> {
    inverse: I::Floats,
    offset: I::Floats,
    largest: I::Floats,
}

impl<I: Isa> Rounding<I> {
    /// Prepare; rows whose scale is zero have code 0.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`.
    #[inline(always)]
    pub unsafe fn new(scale: I::Floats, minimum: I::Floats, largest: f32) -> Self {
        // SAFETY: the machine has the instructions of `I` (this function's contract).
        unsafe {
            let zero = I::splat(0.0);
            let size = I::max(scale, I::sub(zero, scale));
            let inverse = I::less(zero, size, I::div(I::splat(1.0), scale), zero);
            let offset = I::sub(zero, I::mul(minimum, inverse));
            Self { inverse, offset, largest: I::splat(largest) }
        }
    }

    /// The same of a group.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`.
    #[inline(always)]
    pub unsafe fn of(grid: &Grid, largest: f32) -> Self {
        // SAFETY: the machine has the instructions of `I` (this function's contract), and arrays of
        // 16 floats are read.
        unsafe { Self::new(I::load(grid.scale.as_ptr()), I::load(grid.minimum.as_ptr()), largest) }
    }

    /// Where a column lies between the codes, not beyond the first and the last.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`.
    #[inline(always)]
    pub unsafe fn place(&self, w: I::Floats) -> I::Floats {
        // SAFETY: the machine has the instructions of `I` (this function's contract).
        unsafe {
            let at = I::fma(w, self.inverse, self.offset);
            I::min(I::max(at, I::splat(0.0)), self.largest)
        }
    }

    /// The codes of a column, as floats.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`.
    #[inline(always)]
    pub unsafe fn code(&self, w: I::Floats) -> I::Floats {
        // SAFETY: the machine has the instructions of `I` (this function's contract).
        unsafe { I::round(self.place(w)) }
    }
}

/// Round every weight to the nearest code and pack it.
///
/// # Safety
///
/// The machine must have the instructions of `I`.
#[inline(always)]
pub(super) unsafe fn nearest<I: Isa>(
    geometry: &Geometry,
    weights: &[[f32; ROWS]],
    grids: &[Grid],
    out: &mut [u8],
) {
    let largest = geometry.scheme.max_code();
    let tiles = weights.chunks(COLUMNS).zip(out.chunks_exact_mut(geometry.tile_bytes()));
    for (t, (columns, out)) in tiles.enumerate() {
        let mut tile: Tile = [0; QUADS * QUAD];
        // Half a tile never crosses the border of a group, unless it is the end of the row.
        for (h, half) in columns.chunks(COLUMNS / 2).enumerate() {
            let grid = &grids[(t * COLUMNS + h * COLUMNS / 2) / geometry.group];
            // SAFETY: the machine has the instructions of `I` (this function's contract), and
            // places are from 0 to `largest`, at most 255.
            unsafe {
                let rounding = Rounding::<I>::of(grid, largest);
                for (q, quad) in half.chunks(4).enumerate() {
                    let out = &mut tile[(h * QUADS / 2 + q) * QUAD..];
                    write::<I>(out, quad, |w| rounding.place(w));
                }
            }
        }
        // SAFETY: the machine has the instructions of `I` (this function's contract).
        unsafe { pack::<I>(geometry.scheme.bits(), &tile, out) };
    }
}

/// Pack codes that are there as floats.
///
/// # Safety
///
/// The machine must have the instructions of `I`, and codes be numbers from 0 to 255.
#[inline(always)]
pub(super) unsafe fn store<I: Isa>(geometry: &Geometry, codes: &[[f32; ROWS]], out: &mut [u8]) {
    let tiles = codes.chunks(COLUMNS).zip(out.chunks_exact_mut(geometry.tile_bytes()));
    for (columns, out) in tiles {
        let mut tile: Tile = [0; QUADS * QUAD];
        for (quad, out) in columns.chunks(4).zip(tile.chunks_exact_mut(QUAD)) {
            // SAFETY: the machine has the instructions of `I`, and codes are from 0 to 255 (this
            // function's contract).
            unsafe { write::<I>(out, quad, |code| code) };
        }
        // SAFETY: the machine has the instructions of `I` (this function's contract).
        unsafe { pack::<I>(geometry.scheme.bits(), &tile, out) };
    }
}

/// Write the codes of up to four columns; those that are missing have code 0.
///
/// # Safety
///
/// The machine must have the instructions of `I`, and `code` return numbers from 0 to 255.
#[inline(always)]
unsafe fn write<I: Isa>(
    out: &mut [u8],
    columns: &[[f32; ROWS]],
    code: impl Fn(I::Floats) -> I::Floats,
) {
    assert!(out.len() >= QUAD);
    // SAFETY: the machine has the instructions of `I`, and codes are from 0 to 255 (this function's
    // contract); columns are arrays of 16 floats, and `out` has 64 bytes, as was just checked.
    unsafe {
        let mut codes = [I::splat(0.0); 4];
        for (column, codes) in columns.iter().zip(&mut codes) {
            *codes = code(I::load(column.as_ptr()));
        }
        I::write_quad(out.as_mut_ptr(), codes);
    }
}
