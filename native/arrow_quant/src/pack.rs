//! Codes of a tile, one byte each, to and from the bits that are stored.

use crate::scheme::{COLUMNS, ROWS};
use crate::simd::Isa;

/// Quads of a tile.
pub(crate) const QUADS: usize = COLUMNS / 4;
/// Bytes of a quad whose codes are bytes.
pub(crate) const QUAD: usize = ROWS * 4;
/// A tile with a byte a code: eight quads.
pub(crate) type Tile = [u8; QUADS * QUAD];

/// Pack the codes of a tile.
///
/// # Safety
///
/// The machine must have the instructions of `I`.
///
/// # Panics
/// If there is not room for a tile.
#[inline(always)]
pub(crate) unsafe fn pack<I: Isa>(bits: u8, codes: &Tile, out: &mut [u8]) {
    assert!(out.len() >= QUAD * QUADS * usize::from(bits) / 8);
    let out = out.as_mut_ptr();
    // SAFETY: the machine has the instructions of `I` (this function's contract). `codes` holds 8
    // quads, all with `q` below 8; lines written are below `bits`, and of 64 bytes `out` holds as
    // many, as was just checked.
    unsafe {
        let quad = |q: usize| I::quad(codes.as_ptr().add(q * QUAD));
        let put = |line: usize, x: I::Quad| I::put_quad(out.add(line * QUAD), x);
        match bits {
            8 => (0..QUADS).for_each(|q| put(q, quad(q))),
            4 => (0..QUADS / 2)
                .for_each(|q| put(q, I::or(quad(2 * q), I::left::<4>(quad(2 * q + 1))))),
            _ => {
                for line in 0..2 {
                    let upper = |j: usize| {
                        let x = quad(4 * line + j);
                        // Of 3 bits the lowest goes into a plane of its own.
                        if bits == 2 { x } else { I::and(I::right::<1>(x), 3) }
                    };
                    let low = I::or(upper(0), I::left::<2>(upper(1)));
                    let high = I::or(I::left::<4>(upper(2)), I::left::<6>(upper(3)));
                    put(line, I::or(low, high));
                }
                if bits == 3 {
                    let lowest = |j: usize| I::and(quad(j), 1);
                    let mut all = I::or(lowest(0), I::left::<1>(lowest(1)));
                    all = I::or(all, I::or(I::left::<2>(lowest(2)), I::left::<3>(lowest(3))));
                    all = I::or(all, I::or(I::left::<4>(lowest(4)), I::left::<5>(lowest(5))));
                    put(2, I::or(all, I::or(I::left::<6>(lowest(6)), I::left::<7>(lowest(7)))));
                }
            }
        }
    }
}

/// Unpack the quads `4 * half` to `4 * half + 3` of a packed tile; `half` is 0 or 1.
///
/// # Safety
///
/// The machine must have the instructions of `I`, and `tile` be valid for reads of the `64 * BITS`
/// bytes of a tile.
#[inline(always)]
pub(crate) unsafe fn half<I: Isa, const BITS: u8>(tile: *const u8, half: usize) -> [I::Quad; 4] {
    // SAFETY: the machine has the instructions of `I`, and `tile` is valid for the bytes of a tile
    // (this function's contract); since `half` is 0 or 1, quads are read at lines below `BITS`.
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
                    I::or(I::and(I::left::<1>(a), 6), I::and(low, 1)),
                    I::or(I::and(I::right::<1>(a), 6), I::and(I::right::<1>(low), 1)),
                    I::or(I::and(I::right::<3>(a), 6), I::and(I::right::<2>(low), 1)),
                    I::or(I::and(I::right::<5>(a), 6), I::and(I::right::<3>(low), 1)),
                ]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Job, Level, run};
    use proptest::prelude::*;

    /// Pack some codes, and unpack what was packed.
    struct Around<'a, const BITS: u8>(&'a Tile);

    impl<const BITS: u8> Job for Around<'_, BITS> {
        type Output = (Vec<u8>, Tile);

        #[inline(always)]
        unsafe fn run<I: Isa>(self) -> (Vec<u8>, Tile) {
            let mut packed = vec![0; QUADS * QUAD * usize::from(BITS) / 8];
            let mut back = [0; QUADS * QUAD];
            // SAFETY: the machine has the instructions of `I` (contract of `Job::run`); `packed`
            // has the bytes of a tile, and `back` is cut into whole quads.
            unsafe {
                pack::<I>(BITS, self.0, &mut packed);
                for h in 0..2 {
                    let quads = half::<I, BITS>(packed.as_ptr(), h);
                    for (quad, back) in quads.into_iter().zip(back[4 * h * QUAD..].chunks_mut(QUAD))
                    {
                        I::put_quad(back.as_mut_ptr(), quad);
                    }
                }
            }
            (packed, back)
        }
    }

    fn check<const BITS: u8>(bytes: &[u8]) -> Result<(), TestCaseError> {
        let codes: Tile = std::array::from_fn(|i| bytes[i] & (u8::MAX >> (8 - BITS)));
        let (expected, _) = run(Level::PORTABLE, Around::<BITS>(&codes));
        for level in Level::available() {
            let (packed, back) = run(level, Around::<BITS>(&codes));

            prop_assert_eq!(&codes[..], &back[..], "{} bits, {}", BITS, level.name());
            prop_assert_eq!(&expected, &packed, "{} bits, {}", BITS, level.name());
        }
        Ok(())
    }

    proptest! {
        /// Codes come back, and as many bits as they have hold them: packing is a bijection. Every
        /// level writes the same bytes.
        #[test]
        fn packing_is_a_bijection(bytes in prop::collection::vec(any::<u8>(), QUADS * QUAD)) {
            check::<2>(&bytes)?;
            check::<3>(&bytes)?;
            check::<4>(&bytes)?;
            check::<8>(&bytes)?;
        }
    }
}
