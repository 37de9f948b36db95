//! Where pieces start inside a window of at most 64 ASCII bytes, by arithmetic on bit masks.
//!
//! A window always begins at a piece's start, so no state crosses windows. Bits are set only where
//! a start is certain; what the window's end leaves open is decided by the next window, which
//! begins at the last certain start.

use super::lanes::Masks;
use super::pattern::{Pattern, contraction};

/// A window: its masks, how much of it counts, and whether the text ends with it.
pub struct Window<'a> {
    /// Classes of the bytes.
    pub masks: Masks,
    /// Bytes that count, all ASCII: 0 to 64.
    pub length: u32,
    /// Whether the text ends after `length` bytes; then `length` is below 64 and zeros follow.
    pub last: bool,
    /// The bytes.
    pub bytes: &'a [u8; 64],
}

impl Window<'_> {
    /// Bit i is set where a piece starts at byte i; the text's end counts as a start.
    #[inline(always)]
    pub fn starts(&self, pattern: Pattern) -> u64 {
        let valid = below(self.length);
        let letter = self.masks.letter & valid;
        let digit = self.masks.digit & valid;
        let space = self.masks.space & valid;
        let blank = self.masks.blank & valid;
        let other = valid & !(letter | digit | space);
        let solid = letter | digit | other;
        // The last of several spaces goes with the word that follows.
        let leading = space & (solid >> 1);
        let other_starts = other & !(other << 1) & !(blank << 1);
        let starts = match pattern {
            Pattern::Gpt2 => {
                let letters = letter & !(letter << 1) & !(blank << 1);
                let digits = digit & !(digit << 1) & !(blank << 1);
                let spaces = (space & !(space << 1)) | leading;
                let starts = letters | digits | other_starts | spaces;
                self.contractions(starts & self.masks.apostrophe, starts, false)
            }
            Pattern::Cl100k { digits } => {
                let newline = self.masks.newline & valid;
                let prefix = (space & !newline) | other_starts;
                let letters = letter & !(letter << 1) & !(prefix << 1);
                let numbers = digit_starts(digit, digits);
                // Line ends right after punctuation belong to it.
                let trailing = newline & (other << 1);
                let trailing = newline & !newline.wrapping_add(trailing);
                let free = space & !trailing;
                let spaces = (free & !(free << 1)) | (leading & !newline & free);
                let spaces = spaces | self.after_newlines(free, newline);
                let starts = letters | numbers | other_starts | spaces;
                self.contractions(other_starts & self.masks.apostrophe, starts, true)
            }
            Pattern::Whole => 0,
        };
        // Bit 0 is a start by assumption.
        starts | 1 | if self.last { 1 << self.length } else { 0 }
    }

    /// Starts of the spaces that follow the last line end of a run of white space.
    #[inline(always)]
    fn after_newlines(&self, free: u64, newline: u64) -> u64 {
        let blanks = free & !newline;
        let mut candidates = blanks & ((newline & free) << 1);
        let (sum, overflow) = blanks.overflowing_add(candidates);
        let open = if self.last || self.length == 64 { 0 } else { 1 << self.length };
        let unclear = newline | open;
        if !overflow && sum & !blanks & unclear == 0 {
            return candidates;
        }
        let mut found = 0;
        while candidates != 0 {
            let at = candidates.trailing_zeros();
            let end = at + (!(blanks >> at)).trailing_zeros();
            if end < 64 && unclear >> end & 1 == 0 {
                found |= 1 << at;
            }
            candidates &= candidates - 1;
        }
        found
    }

    /// Corrects the starts for contractions at the apostrophes that start a piece.
    #[inline(always)]
    fn contractions(&self, mut apostrophes: u64, mut starts: u64, fold: bool) -> u64 {
        while apostrophes != 0 {
            let at = apostrophes.trailing_zeros();
            if !self.last && at + 3 > self.length {
                return starts & below(at + 1);
            }
            if let Some(end) = contraction(self.bytes, at as usize, fold) {
                starts &= !(1_u64.checked_shl(at + 1).unwrap_or(0));
                starts |= 1_u64.checked_shl(end as u32).unwrap_or(0);
            }
            apostrophes &= apostrophes - 1;
        }
        starts
    }
}

/// Starts of runs of digits, and of each group of three (or of one) inside them.
#[inline(always)]
fn digit_starts(digit: u64, group: u8) -> u64 {
    if group == 1 {
        return digit;
    }
    let mut found = digit & !(digit << 1);
    let inside = digit & (digit << 1) & (digit << 2) & (digit << 3);
    let mut next = (found << 3) & inside;
    while next != 0 {
        found |= next;
        next = (next << 3) & inside;
    }
    found
}

/// The lowest `count` bits, all of them from 64 on.
#[inline(always)]
fn below(count: u32) -> u64 {
    1_u64.checked_shl(count).map_or(u64::MAX, |bit| bit - 1)
}
