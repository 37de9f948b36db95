//! Sixteen rows of packed weights by some rows of int8 activations.

use crate::Geometry;
use crate::pack::{QUADS, half};
use crate::params::{integers, read, unit};
use crate::scheme::{COLUMNS, ParamFormat, ROWS, SUPER};
use crate::simd::{Isa, Job, Level};

/// Operands of a tile: 16 outputs of `out.len()` rows.
pub(super) struct Tile<'a> {
    pub geometry: &'a Geometry,
    pub codes: &'a [u8],
    pub params: &'a [u8],
    pub x: &'a [i8],
    pub sums: &'a [i32],
}

impl Tile<'_> {
    /// Products with the integers of one, two or four rows.
    pub fn products(self, level: Level, out: &mut [[f32; ROWS]]) {
        match out.len() {
            4 => self.wide::<4>(level, out),
            2 => self.wide::<2>(level, out),
            _ => self.wide::<1>(level, out),
        }
    }

    fn wide<const B: usize>(self, level: Level, out: &mut [[f32; ROWS]]) {
        let geometry = self.geometry;
        // What is read through pointers below.
        assert!(out.len() == B && self.codes.len() == geometry.code_bytes);
        assert!(self.params.len() == geometry.param_bytes);
        assert!(self.x.len() == B * geometry.padded_columns());
        assert!(self.sums.len() == B * geometry.columns.div_ceil(geometry.unit()));
        let single = geometry.scheme.params() == ParamFormat::F16;
        match (geometry.scheme.bits(), single) {
            (2, true) => level.run(Single::<2, B>(self, out)),
            (3, true) => level.run(Single::<3, B>(self, out)),
            (4, true) => level.run(Single::<4, B>(self, out)),
            (8, _) => level.run(Single::<8, B>(self, out)),
            (2, false) => level.run(Double::<2, B>(self, out)),
            (3, false) => level.run(Double::<3, B>(self, out)),
            _ => level.run(Double::<4, B>(self, out)),
        }
    }

    /// Add the products of half a tile.
    #[inline(always)]
    unsafe fn half<I: Isa, const BITS: u8, const B: usize>(
        &self,
        column: usize,
        dots: &mut [I::Dots; B],
        ints: &mut [I::Ints; B],
    ) {
        // SAFETY: the caller's, whose column is one of the padded ones, a multiple of half a tile.
        unsafe {
            let tile = self.codes.as_ptr().add(column / COLUMNS * self.geometry.tile_bytes());
            let mut x = self.x.as_ptr().add(column * B);
            for quad in half::<I, BITS>(tile, column % COLUMNS / (COLUMNS / 2)) {
                for b in 0..B {
                    if BITS == 8 {
                        ints[b] = I::dot_bytes(ints[b], quad, x.add(4 * b));
                    } else {
                        dots[b] = I::dot(dots[b], quad, x.add(4 * b));
                    }
                }
                x = x.add(4 * B);
            }
        }
    }
}

/// With float16 parameters, applied at the end of each unit of columns.
struct Single<'a, 'b, const BITS: u8, const B: usize>(Tile<'a>, &'b mut [[f32; ROWS]]);

impl<const BITS: u8, const B: usize> Job for Single<'_, '_, BITS, B> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self(tile, out) = self;
        let geometry = tile.geometry;
        // SAFETY: the caller has the instructions; `wide` checked all lengths.
        unsafe {
            let mut floats = [I::splat(0.0); B];
            let center = if BITS == 8 { I::CENTER } else { 0 };
            for first in (0..geometry.columns).step_by(geometry.unit()) {
                let end = (first + geometry.unit()).min(geometry.padded_columns());
                let mut ints = [I::no_ints(); B];
                for column in (first..end).step_by(COLUMNS) {
                    let mut dots = [I::no_dots(); B];
                    tile.half::<I, BITS, B>(column, &mut dots, &mut ints);
                    tile.half::<I, BITS, B>(column + COLUMNS / 2, &mut dots, &mut ints);
                    if BITS != 8 {
                        for b in 0..B {
                            ints[b] = I::add_plain(ints[b], dots[b]);
                        }
                    }
                }
                let (scale, minimum) = read::<I>(geometry, tile.params, first / geometry.group);
                let minimum = I::fma(scale, I::splat(center as f32), minimum);
                let sums = tile.sums.as_ptr().add(first / geometry.unit() * B);
                for b in 0..B {
                    let sum = I::splat(*sums.add(b) as f32);
                    floats[b] = I::fma(I::to_floats(ints[b]), scale, floats[b]);
                    floats[b] = I::fma(minimum, sum, floats[b]);
                }
            }
            for (out, floats) in out.iter_mut().zip(floats) {
                I::store(out.as_mut_ptr(), floats);
            }
        }
    }
}

/// With integer parameters: integers all the way through 256 columns, then the float16s above.
struct Double<'a, 'b, const BITS: u8, const B: usize>(Tile<'a>, &'b mut [[f32; ROWS]]);

impl<const BITS: u8, const B: usize> Job for Double<'_, '_, BITS, B> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self(tile, out) = self;
        let geometry = tile.geometry;
        let format = geometry.scheme.params();
        // SAFETY: the caller has the instructions; `wide` checked all lengths.
        unsafe {
            let mut floats = [I::splat(0.0); B];
            for first in (0..geometry.columns).step_by(SUPER) {
                let end = (first + SUPER).min(geometry.columns);
                let (mut ints, mut zeros) = ([I::no_ints(); B], [I::no_ints(); B]);
                for start in (first..end).step_by(geometry.group) {
                    let group = start / geometry.group;
                    let at = tile.params.as_ptr().add(geometry.group_at(group));
                    let (scale, minimum) = integers::<I>(format, at);
                    let factor = I::factor(scale);
                    let stop = (start + geometry.group).min(geometry.padded_columns());
                    for column in (start..stop).step_by(COLUMNS) {
                        let mut dots = [I::no_dots(); B];
                        tile.half::<I, BITS, B>(column, &mut dots, &mut ints);
                        if geometry.group >= COLUMNS {
                            let second = column + COLUMNS / 2;
                            tile.half::<I, BITS, B>(second, &mut dots, &mut ints);
                        }
                        for b in 0..B {
                            ints[b] = I::add_dots(ints[b], dots[b], factor);
                        }
                    }
                    for (b, zeros) in zeros.iter_mut().enumerate() {
                        let sum = *tile.sums.as_ptr().add(group * B + b);
                        *zeros = I::add_scaled(*zeros, minimum, sum);
                    }
                }
                let above = tile.params.as_ptr().add(geometry.super_at(first / geometry.group));
                let unit = unit(format);
                let scale = I::mul(I::halves(above), I::splat(unit));
                let minimum = I::mul(I::halves(above.add(2 * ROWS)), I::splat(-unit));
                for b in 0..B {
                    floats[b] = I::fma(I::to_floats(ints[b]), scale, floats[b]);
                    floats[b] = I::fma(I::to_floats(zeros[b]), minimum, floats[b]);
                }
            }
            for (out, floats) in out.iter_mut().zip(floats) {
                I::store(out.as_mut_ptr(), floats);
            }
        }
    }
}

/// A tile holds eight quads, as many as 16 bits can sum.
const _: () = assert!(QUADS * 15 * 127 * 2 <= i16::MAX as usize);
