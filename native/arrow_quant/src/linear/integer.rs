//! Sixteen rows of packed weights by all rows of int8 activations.

use super::activations::Rounded;
use super::source::{Packed, STRIP, Strip};
use super::tile::Tile;
use crate::scheme::{COLUMNS, ROWS};
use crate::simd::{Isa, Job, Level};
use crate::{Geometry, QuantizedMatrix};

/// Products of one sixteen of rows with the integers of all rows of activations.
pub(super) fn products(
    matrix: &QuantizedMatrix<'_>,
    block: usize,
    x: &Rounded,
    level: Level,
    out: &mut [[f32; ROWS]],
) {
    let geometry = matrix.geometry();
    let (codes, params) = matrix.block(block);
    out.fill([0.0; ROWS]);
    match geometry.scheme.bits() {
        2 => level.run(Products::<2> { geometry, codes, params, x, out }),
        3 => level.run(Products::<3> { geometry, codes, params, x, out }),
        4 => level.run(Products::<4> { geometry, codes, params, x, out }),
        _ => level.run(Products::<8> { geometry, codes, params, x, out }),
    }
}

struct Products<'a, const BITS: u8> {
    geometry: &'a Geometry,
    codes: &'a [u8],
    params: &'a [u8],
    x: &'a Rounded,
    out: &'a mut [[f32; ROWS]],
}

impl<const BITS: u8> Job for Products<'_, BITS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { geometry, codes, params, x, out } = self;
        let packed = Packed::<BITS>::new(geometry, codes, params);
        // SAFETY: the caller has the instructions.
        unsafe {
            if out.len() <= I::TILE {
                return Tile { geometry, source: &packed, columns: 0..geometry.columns }.all::<I>(
                    x,
                    &[],
                    out,
                );
            }
            // Every tile of activations would unpack again what it multiplies with.
            let mut strip = Strip::<BITS>::new(geometry);
            let at = |column| codes.len().min(column * geometry.tile_bytes() / COLUMNS);
            for first in (0..geometry.columns).step_by(STRIP) {
                let columns = first..geometry.columns.min(first + STRIP);
                strip.fill::<I>(&packed, columns.clone());
                let next = &codes[at(first + STRIP)..at(first + 2 * STRIP)];
                Tile { geometry, source: &strip, columns }.all::<I>(x, next, out);
            }
        }
    }
}
