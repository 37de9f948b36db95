//! Sixty-four bytes classified at once: one bit a byte for each class that the patterns ask about.

use cpu::{Feature, Tier, Tiers};
use std::sync::OnceLock;

/// A set of instructions that this machine has, with lanes for it.
pub type Level = cpu::Level<Set>;

/// The sets of instructions that lanes are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Plain Rust, with whatever the target always has.
    Portable,
    /// AVX2 and all bit manipulation: x86-64 since 2013.
    Avx2,
    /// AVX-512 of bytes: since Skylake-X and Zen 4.
    Avx512,
}

impl Tiers for Set {
    const ALL: &'static [Tier<Self>] = {
        use Feature::{Avx2, Avx512bw, Avx512f, Avx512vl, Bmi1, Bmi2, Lzcnt, Popcnt};
        &[
            Tier { set: Self::Portable, name: "portable", needs: &[] },
            Tier { set: Self::Avx2, name: "avx2", needs: &[Avx2, Bmi1, Bmi2, Lzcnt, Popcnt] },
            Tier {
                set: Self::Avx512,
                name: "avx512",
                needs: &[Avx512f, Avx512bw, Avx512vl, Bmi1, Bmi2, Lzcnt, Popcnt],
            },
        ]
    };

    fn best() -> &'static OnceLock<Level> {
        static BEST: OnceLock<Level> = OnceLock::new();
        &BEST
    }
}

/// Bits of the bytes at a window's start; bit i speaks of byte i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// ASCII letters.
    pub letter: u64,
    /// ASCII digits.
    pub digit: u64,
    /// ASCII white space, the blank and line ends included.
    pub space: u64,
    /// The blank, U+0020.
    pub blank: u64,
    /// Carriage return and line feed.
    pub newline: u64,
    /// The apostrophe.
    pub apostrophe: u64,
    /// Bytes that are not ASCII.
    pub high: u64,
}

/// An instruction set that computes [`Masks`].
pub trait Lanes {
    /// Masks of 64 bytes.
    ///
    /// # Safety
    ///
    /// The processor must have the instruction set.
    unsafe fn masks(bytes: &[u8; 64]) -> Masks;
}

/// Any processor; also what the others are tested against.
pub struct Portable;

impl Lanes for Portable {
    #[inline(always)]
    unsafe fn masks(bytes: &[u8; 64]) -> Masks {
        let mut masks = Masks::default();
        for (i, &byte) in bytes.iter().enumerate() {
            masks.letter |= u64::from(byte.is_ascii_alphabetic()) << i;
            masks.digit |= u64::from(byte.is_ascii_digit()) << i;
            masks.space |= u64::from(byte == b' ' || byte.wrapping_sub(9) < 5) << i;
            masks.blank |= u64::from(byte == b' ') << i;
            masks.newline |= u64::from(byte == b'\r' || byte == b'\n') << i;
            masks.apostrophe |= u64::from(byte == b'\'') << i;
            masks.high |= u64::from(byte >= 0x80) << i;
        }
        masks
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi8, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256,
        _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm512_cmpeq_epi8_mask,
        _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_movepi8_mask, _mm512_or_si512,
        _mm512_set1_epi8, _mm512_sub_epi8,
    };

    use super::{Lanes, Masks};

    /// AVX-512 with byte instructions (F and BW).
    pub struct Avx512;

    impl Lanes for Avx512 {
        #[inline(always)]
        unsafe fn masks(bytes: &[u8; 64]) -> Masks {
            // SAFETY: the processor has AVX-512 F and BW (contract of `Lanes::masks`).
            unsafe { avx512(bytes) }
        }
    }

    /// AVX2, in two halves.
    pub struct Avx2;

    impl Lanes for Avx2 {
        #[inline(always)]
        unsafe fn masks(bytes: &[u8; 64]) -> Masks {
            // SAFETY: the processor has AVX2 (contract of `Lanes::masks`).
            unsafe { avx2(bytes) }
        }
    }

    // Closures take over the instructions of a function that names them, and only then are their
    // own instructions not calls.

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn avx512(bytes: &[u8; 64]) -> Masks {
        // SAFETY: the load reads the array's 64 bytes.
        let v = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
        let is = |byte: u8| _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(byte as i8));
        let lower = _mm512_or_si512(v, _mm512_set1_epi8(0x20));
        let within = |v, first: u8, count: u8| {
            let moved = _mm512_sub_epi8(v, _mm512_set1_epi8(first as i8));
            _mm512_cmplt_epu8_mask(moved, _mm512_set1_epi8(count as i8))
        };
        let blank = is(b' ');
        Masks {
            letter: within(lower, b'a', 26),
            digit: within(v, b'0', 10),
            space: blank | within(v, 9, 5),
            blank,
            newline: is(b'\r') | is(b'\n'),
            apostrophe: is(b'\''),
            high: _mm512_movepi8_mask(v),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn avx2(bytes: &[u8; 64]) -> Masks {
        let start = bytes.as_ptr();
        // SAFETY: the loads read the array's bytes 0..32 and 32..64.
        let (low, high) =
            unsafe { (_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast())) };
        let bits = |a: __m256i, b: __m256i| {
            let low = _mm256_movemask_epi8(a) as u32;
            let high = _mm256_movemask_epi8(b) as u32;
            u64::from(low) | u64::from(high) << 32
        };
        let is = |byte: u8| {
            let byte = _mm256_set1_epi8(byte as i8);
            bits(_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte))
        };
        // Moves the range to the bottom of the signed bytes, where one comparison finds it.
        let within = |or: u8, first: u8, count: u8| {
            let or = _mm256_set1_epi8(or as i8);
            let shift = _mm256_set1_epi8(0x80_u8.wrapping_sub(first) as i8);
            let end = _mm256_set1_epi8(0x80_u8.wrapping_add(count) as i8);
            let half = |v| _mm256_cmpgt_epi8(end, _mm256_add_epi8(_mm256_or_si256(v, or), shift));
            bits(half(low), half(high))
        };
        let blank = is(b' ');
        Masks {
            letter: within(0x20, b'a', 26),
            digit: within(0, b'0', 10),
            space: blank | within(0, 9, 5),
            blank,
            newline: is(b'\r') | is(b'\n'),
            apostrophe: is(b'\''),
            high: bits(low, high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_agrees_on_every_byte() {
        for shift in 0..=255_u8 {
            let bytes: [u8; 64] = std::array::from_fn(|i| (i as u8).wrapping_mul(7) ^ shift);
            // SAFETY: portable lanes need nothing, and the machine has what each other level needs,
            // which is more than its lanes do.
            let masks = |level: Level| unsafe {
                match level.set() {
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx2 => Avx2::masks(&bytes),
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx512 => Avx512::masks(&bytes),
                    _ => Portable::masks(&bytes),
                }
            };
            let expected = masks(Level::PORTABLE);
            assert_eq!(64, (expected.high | !expected.high).count_ones());
            for level in Level::available() {
                assert_eq!(expected, masks(level), "{}", level.name());
            }
        }
    }
}
