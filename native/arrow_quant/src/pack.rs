//! Codes of a tile, one byte each, to and from the bits that are stored.

use crate::scheme::{COLUMNS, ROWS};
use crate::simd::Isa;

/// Quads of a tile.
pub(crate) const QUADS: usize = COLUMNS / 4;
/// Bytes of a quad whose codes are bytes.
pub(crate) const QUAD: usize = ROWS * 4;
/// A tile with a byte a code: eight quads.
pub(crate) type Tile = [u8; QUADS * QUAD];

/// Store a tile.
#[inline(always)]
pub(crate) fn pack(bits: u8, codes: &Tile, out: &mut [u8]) {
    let quad = |q: usize, i: usize| codes[q * QUAD + i];
    match bits {
        8 => out.copy_from_slice(codes),
        4 => {
            for (q, out) in out.chunks_exact_mut(QUAD).enumerate() {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = quad(2 * q, i) | quad(2 * q + 1, i) << 4;
                }
            }
        }
        _ => {
            // Of 3 bits the lowest goes into a plane of its own.
            let low = bits - 2;
            for (q, out) in out.chunks_exact_mut(QUAD).enumerate() {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = if q < 2 {
                        (0..4).fold(0, |byte, j| byte | quad(4 * q + j, i) >> low << (2 * j))
                    } else {
                        (0..QUADS).fold(0, |byte, j| byte | (quad(j, i) & 1) << j)
                    };
                }
            }
        }
    }
}

/// The quads `4 * half` to `4 * half + 3` of a stored tile.
///
/// # Safety
/// The machine has the instructions of `I`, and the tile's bytes are there.
#[inline(always)]
pub(crate) unsafe fn half<I: Isa, const BITS: u8>(tile: *const u8, half: usize) -> [I::Quad; 4] {
    // SAFETY: the caller's; offsets stay below the bytes of a tile.
    unsafe {
        match BITS {
            8 => std::array::from_fn(|j| I::quad(tile.add((4 * half + j) * QUAD))),
            4 => {
                let (a, b) =
                    (I::quad(tile.add(2 * half * QUAD)), I::quad(tile.add((2 * half + 1) * QUAD)));
                [
                    I::and(a, 15),
                    I::and(I::right::<4>(a), 15),
                    I::and(b, 15),
                    I::and(I::right::<4>(b), 15),
                ]
            }
            2 => {
                let a = I::quad(tile.add(half * QUAD));
                [
                    I::and(a, 3),
                    I::and(I::right::<2>(a), 3),
                    I::and(I::right::<4>(a), 3),
                    I::and(I::right::<6>(a), 3),
                ]
            }
            _ => {
                let a = I::quad(tile.add(half * QUAD));
                let low = I::quad(tile.add(2 * QUAD));
                let low = if half == 0 { low } else { I::right::<4>(low) };
                [
                    I::or(I::and(I::double(a), 6), I::and(low, 1)),
                    I::or(I::and(I::right::<1>(a), 6), I::and(I::right::<1>(low), 1)),
                    I::or(I::and(I::right::<3>(a), 6), I::and(I::right::<2>(low), 1)),
                    I::or(I::and(I::right::<5>(a), 6), I::and(I::right::<3>(low), 1)),
                ]
            }
        }
    }
}
