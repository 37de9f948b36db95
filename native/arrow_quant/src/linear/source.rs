//! Where the inner loop has codes and parameters of sixteen rows from.

use crate::Geometry;
use crate::pack::half;
use crate::params::{Grid, read};
use crate::scheme::{COLUMNS, ROWS};
use crate::simd::Isa;
use std::ops::Range;

/// Columns that are unpacked at a time: their codes stay in the first cache beside activations.
pub(super) const STRIP: usize = 1024;
/// The smallest number of columns with parameters of their own.
const LEAST: usize = 16;
/// Bytes between the codes in use and those fetched meanwhile.
const AHEAD: usize = 4096;
/// The same of parameters.
const PARAMS_AHEAD: usize = 1024;

/// Codes and parameters of sixteen rows.
pub(super) trait Source {
    /// Whether codes may have more than 4 bits.
    const BYTES: bool;

    /// The quads of 16 columns.
    ///
    /// # Safety
    /// The machine has the instructions of `I`, and the columns are there, the first a multiple of 16.
    unsafe fn half<I: Isa>(&self, column: usize) -> [I::Quad; 4];

    /// Scales and minima of a unit of columns, counted from the first of them.
    ///
    /// # Safety
    /// As [`Source::half`].
    unsafe fn grid<I: Isa>(&self, unit: usize) -> (I::Floats, I::Floats);
}

/// As they are stored.
pub(super) struct Packed<'a, const BITS: u8> {
    geometry: &'a Geometry,
    codes: &'a [u8],
    params: &'a [u8],
    last: usize,
}

impl<'a, const BITS: u8> Packed<'a, BITS> {
    /// # Panics
    /// If lengths are not those of the geometry.
    pub fn new(geometry: &'a Geometry, codes: &'a [u8], params: &'a [u8]) -> Self {
        assert!(geometry.scheme.bits() == BITS && codes.len() == geometry.code_bytes);
        assert!(params.len() == geometry.param_bytes);
        Self { geometry, codes, params, last: geometry.groups().saturating_sub(1) }
    }
}

impl<const BITS: u8> Source for Packed<'_, BITS> {
    const BYTES: bool = BITS == 8;

    #[inline(always)]
    unsafe fn half<I: Isa>(&self, column: usize) -> [I::Quad; 4] {
        let tile = ROWS * COLUMNS * usize::from(BITS) / 8;
        // SAFETY: the caller's, whose column is one of the padded ones.
        unsafe {
            let tile = self.codes.as_ptr().add(column / COLUMNS * tile);
            let second = column % COLUMNS / (COLUMNS / 2);
            for line in 0..usize::from(BITS).div_ceil(2) {
                I::prefetch(
                    tile.wrapping_add(AHEAD + (usize::from(BITS) * second / 2 + line) * 64),
                );
            }
            half::<I, BITS>(tile, second)
        }
    }

    #[inline(always)]
    unsafe fn grid<I: Isa>(&self, unit: usize) -> (I::Floats, I::Floats) {
        let group = unit.min(self.last); // all units of a row that is one group have its parameters
        // SAFETY: the caller's.
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
    first: usize,
    unit: usize,
}

impl<const BITS: u8> Strip<BITS> {
    pub fn new(geometry: &Geometry) -> Self {
        let (codes, grids) = ([[0; ROWS]; STRIP], [Grid::default(); STRIP / LEAST]);
        Self { first: 0, unit: geometry.unit(), codes, grids }
    }

    /// Unpack some columns, at most as many as there is room for.
    ///
    /// # Safety
    /// The machine has the instructions of `I`, and the columns are there.
    #[inline(always)]
    pub unsafe fn fill<I: Isa>(&mut self, packed: &Packed<'_, BITS>, columns: Range<usize>) {
        self.first = columns.start;
        let halves = columns.clone().step_by(COLUMNS / 2);
        // SAFETY: the caller's; chunks hold four quads, and arrays the lanes.
        unsafe {
            for (column, codes) in halves.zip(self.codes.as_chunks_mut::<{ COLUMNS / 2 }>().0) {
                let quads = packed.half::<I>(column);
                for (quad, codes) in quads.into_iter().zip(codes.as_chunks_mut::<4>().0) {
                    I::put_quad(codes.as_mut_ptr().cast(), quad);
                }
            }
            let units = columns.start / self.unit..columns.end.div_ceil(self.unit);
            for (unit, grid) in units.zip(&mut self.grids) {
                let (scale, minimum) = packed.grid::<I>(unit);
                I::store(grid.scale.as_mut_ptr(), scale);
                I::store(grid.minimum.as_mut_ptr(), minimum);
            }
        }
    }
}

impl<const BITS: u8> Source for Strip<BITS> {
    const BYTES: bool = BITS == 8;

    #[inline(always)]
    unsafe fn half<I: Isa>(&self, column: usize) -> [I::Quad; 4] {
        // SAFETY: the caller's, whose column is one of those filled, or of those beside them that
        // pad a tile.
        unsafe {
            let codes = self.codes.as_ptr().add(column - self.first).cast::<u8>();
            std::array::from_fn(|j| I::quad(codes.add(4 * ROWS * j)))
        }
    }

    #[inline(always)]
    unsafe fn grid<I: Isa>(&self, unit: usize) -> (I::Floats, I::Floats) {
        // SAFETY: the caller's; arrays hold the lanes.
        unsafe {
            let grid = self.grids.get_unchecked(unit);
            (I::load(grid.scale.as_ptr()), I::load(grid.minimum.as_ptr()))
        }
    }
}
