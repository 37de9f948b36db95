//! Operands of the inner loop: codes and parameters of 16-row panels, packed or unpacked.

use super::activations::Line;
use crate::Geometry;
use crate::pack::{QUAD, half};
use crate::params::{Grid, read};
use crate::scheme::{COLUMNS, ROWS};
use crate::simd::Isa;
use std::ops::Range;

/// Columns that are unpacked at a time: their codes stay in the first cache beside activations.
pub(super) const STRIP: usize = 512;
/// The smallest number of columns with parameters of their own.
pub(super) const LEAST: usize = 16;
/// Prefetch distance of codes, in bytes.
const AHEAD: usize = 4096;
/// Prefetch distance of parameters, in bytes.
const PARAMS_AHEAD: usize = 1024;

/// Codes and parameters of a strip of a 16-row panel; columns and units are counted from its first.
pub(super) trait Source {
    /// Bits of a code.
    const BITS: u8;

    /// Accumulate `W` 16-row panels times `B` activation rows over a column range: whole tiles, or
    /// half of one, and no more than accumulators hold before [`Isa::settle`].
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`, every source have the columns, up to the end
    /// of the last tile, at most [`STRIP`], and `x` be valid for reads of `B` lines.
    unsafe fn multiply<I: Isa, const B: usize, const W: usize>(
        sources: &[&Self; W],
        columns: Range<usize>,
        x: *const Line,
        dots: &mut [[I::Sums; B]; W],
    );

    /// Scales and minima of a unit of columns.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`, and the strip have the unit.
    unsafe fn grid<I: Isa>(&self, unit: usize) -> (I::Floats, I::Floats);
}

/// Accumulate a quad of each of two panels, or of the first, times `B` activation rows.
///
/// # Safety
///
/// The machine must have the instructions of `I`, `x` be valid for reads of `B` lines, and `column`
/// be at most `STRIP - 4`.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "a line is multiplied with both")]
unsafe fn quad<I: Isa, S: Source, const B: usize, const W: usize>(
    quads: [I::Quad; 2],
    column: usize,
    x: *const Line,
    dots: &mut [[I::Sums; B]; W],
) {
    // SAFETY: the machine has the instructions of `I`, `x` is valid for `B` lines, and a line holds
    // `STRIP` codes, so 4 at `column` (this function's contract).
    unsafe {
        for b in 0..B {
            let x = (*x.add(b)).codes.as_ptr().add(column);
            for w in 0..W {
                dots[w][b] = if S::BITS == 8 {
                    I::dot_bytes(dots[w][b], quads[w], x)
                } else {
                    I::dot(dots[w][b], quads[w], x)
                };
            }
        }
    }
}

/// A panel as it is stored.
pub(super) struct Packed<'a, const BITS: u8> {
    geometry: &'a Geometry,
    codes: &'a [u8],
    params: &'a [u8],
    /// The first unit of the strip.
    unit: usize,
    last: usize,
}

impl<'a, const BITS: u8> Packed<'a, BITS> {
    /// A strip of a block of a matrix.
    ///
    /// # Panics
    /// If lengths are not those of the geometry.
    pub fn new(
        geometry: &'a Geometry,
        (codes, params): (&'a [u8], &'a [u8]),
        strip: usize,
    ) -> Self {
        assert!(geometry.scheme.bits() == BITS && codes.len() == geometry.code_bytes);
        assert!(params.len() == geometry.param_bytes);
        let codes = &codes[strip * (STRIP / COLUMNS) * geometry.tile_bytes()..];
        let unit = strip * STRIP / geometry.unit();
        let last = geometry.groups().saturating_sub(1);
        Self { geometry, codes, params, unit, last }
    }

    /// Unpack the quads of the first or the second half of the tile that starts at a column.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`, and the strip have the tile.
    #[inline(always)]
    unsafe fn half<I: Isa>(&self, column: usize, second: usize) -> [I::Quad; 4] {
        let tile = ROWS * COLUMNS * usize::from(BITS) / 8;
        // SAFETY: the machine has the instructions of `I`, and the strip has the tile (this
        // function's contract); `new` checked that codes are as long as the geometry says, which is
        // whole tiles. Prefetches take any address.
        unsafe {
            let tile = self.codes.as_ptr().add(column / COLUMNS * tile);
            for line in 0..usize::from(BITS).div_ceil(2) {
                let line = (usize::from(BITS) * second / 2 + line) * 64;
                I::prefetch(tile.wrapping_add(AHEAD + line));
            }
            half::<I, BITS>(tile, second)
        }
    }

    /// Accumulate half a tile of `W` panels times `B` activation rows.
    ///
    /// # Safety
    ///
    /// As [`Source::multiply`].
    #[inline(always)]
    unsafe fn multiply_half<I: Isa, const B: usize, const W: usize>(
        sources: &[&Self; W],
        tile: usize,
        second: usize,
        x: *const Line,
        dots: &mut [[I::Sums; B]; W],
    ) {
        // SAFETY: the machine has the instructions of `I`, all sources have the tile, and `x` is
        // valid for `B` lines (this function's contract); columns are at most 12 behind the tile's
        // half.
        unsafe {
            let [a, b, c, d] = sources[0].half::<I>(tile, second);
            let [e, f, g, h] =
                if W == 2 { sources[W - 1].half::<I>(tile, second) } else { [a, b, c, d] };
            // In so many words, for a loop over them keeps them in memory.
            let column = tile + second * COLUMNS / 2;
            quad::<I, Self, B, W>([a, e], column, x, dots);
            quad::<I, Self, B, W>([b, f], column + 4, x, dots);
            quad::<I, Self, B, W>([c, g], column + 8, x, dots);
            quad::<I, Self, B, W>([d, h], column + 12, x, dots);
        }
    }
}

impl<const BITS: u8> Source for Packed<'_, BITS> {
    const BITS: u8 = BITS;

    #[inline(always)]
    unsafe fn multiply<I: Isa, const B: usize, const W: usize>(
        sources: &[&Self; W],
        columns: Range<usize>,
        x: *const Line,
        dots: &mut [[I::Sums; B]; W],
    ) {
        // SAFETY: the same contract, for tiles that the columns touch.
        unsafe {
            if columns.len() < COLUMNS {
                let (tile, second) = (columns.start / COLUMNS, columns.start / (COLUMNS / 2) % 2);
                return Self::multiply_half::<I, B, W>(sources, tile * COLUMNS, second, x, dots);
            }
            for tile in columns.step_by(COLUMNS) {
                Self::multiply_half::<I, B, W>(sources, tile, 0, x, dots);
                Self::multiply_half::<I, B, W>(sources, tile, 1, x, dots);
            }
        }
    }

    #[inline(always)]
    unsafe fn grid<I: Isa>(&self, unit: usize) -> (I::Floats, I::Floats) {
        // All units of a row that is one group have its parameters.
        let group = (self.unit + unit).min(self.last);
        // SAFETY: the machine has the instructions of `I` (contract of `Source::grid`); `read`
        // checks lengths itself, and prefetches take any address.
        unsafe {
            let at = self.params.as_ptr().wrapping_add(self.geometry.group_at(group));
            I::prefetch(at.wrapping_add(PARAMS_AHEAD));
            read::<I>(self.geometry, self.params, group)
        }
    }
}

/// Unpacked: a byte a code, two floats a group.
#[repr(align(64))]
pub(super) struct Strip<const BITS: u8> {
    codes: [[u8; ROWS]; STRIP],
    grids: [Grid; STRIP / LEAST],
}

impl<const BITS: u8> Strip<BITS> {
    pub const fn new() -> Self {
        let none = Grid { scale: [0.0; ROWS], minimum: [0.0; ROWS] };
        Self { codes: [[0; ROWS]; STRIP], grids: [none; STRIP / LEAST] }
    }

    /// Unpack the first columns of a strip.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`, and the packed strip have the columns.
    #[inline(always)]
    pub unsafe fn fill<I: Isa>(&mut self, packed: &Packed<'_, BITS>, columns: usize) {
        let tiles = (0..columns).step_by(COLUMNS);
        // SAFETY: the machine has the instructions of `I`, and the strip has the columns (this
        // function's contract); each chunk of codes is the 8 quads of a tile, and arrays of 16
        // floats are written.
        unsafe {
            for (tile, codes) in tiles.zip(self.codes.as_chunks_mut::<COLUMNS>().0) {
                let codes = codes.as_mut_ptr().cast::<u8>();
                for second in 0..2 {
                    let [a, b, c, d] = packed.half::<I>(tile, second);
                    let codes = codes.add(second * 4 * QUAD);
                    I::put_quad(codes, a);
                    I::put_quad(codes.add(QUAD), b);
                    I::put_quad(codes.add(2 * QUAD), c);
                    I::put_quad(codes.add(3 * QUAD), d);
                }
            }
            let units = 0..columns.div_ceil(packed.geometry.unit());
            for (unit, grid) in units.zip(&mut self.grids) {
                let (scale, minimum) = packed.grid::<I>(unit);
                I::store(grid.scale.as_mut_ptr(), scale);
                I::store(grid.minimum.as_mut_ptr(), minimum);
            }
        }
    }
}

impl<const BITS: u8> Source for Strip<BITS> {
    const BITS: u8 = BITS;

    #[inline(always)]
    unsafe fn multiply<I: Isa, const B: usize, const W: usize>(
        sources: &[&Self; W],
        columns: Range<usize>,
        x: *const Line,
        dots: &mut [[I::Sums; B]; W],
    ) {
        for column in columns.step_by(4) {
            // SAFETY: the machine has the instructions of `I`, `x` is valid for `B` lines, and
            // columns end with a tile, at most at `STRIP` (contract of `Source::multiply`), so 4 x 16
            // codes are there; `W` is 1 or 2.
            unsafe {
                let codes = |strip: &Self| I::quad(strip.codes.as_ptr().add(column).cast());
                let quads = [codes(sources[0]), codes(sources[W - 1])];
                quad::<I, Self, B, W>(quads, column, x, dots);
            }
        }
    }

    #[inline(always)]
    unsafe fn grid<I: Isa>(&self, unit: usize) -> (I::Floats, I::Floats) {
        // SAFETY: the machine has the instructions of `I`, and the strip has the unit, of which
        // there are at most `STRIP / LEAST` (contract of `Source::grid`); arrays of 16 floats are
        // read.
        unsafe {
            let grid = self.grids.get_unchecked(unit);
            (I::load(grid.scale.as_ptr()), I::load(grid.minimum.as_ptr()))
        }
    }
}
