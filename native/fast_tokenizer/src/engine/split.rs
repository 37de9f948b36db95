//! Cuts a text into pieces and hands them on, many at a time where the text is ASCII.

use super::lanes::{Lanes, Level, Portable, Set};
use super::pattern::Pattern;
use super::unicode::Classes;
use super::window::Window;

/// Bytes that may be read from a window's start: 64, and 16 from its last byte.
pub const READABLE: usize = 80;

/// Receives pieces in order; every byte of the text belongs to exactly one.
pub trait Sink {
    /// Pieces between successive bits of `starts`; the lowest bit is 0, at byte `origin` of the text.
    fn window(&mut self, bytes: &[u8; READABLE], origin: usize, starts: u64);

    /// One piece: `text[start..end]`, not empty.
    fn piece(&mut self, text: &[u8], start: usize, end: usize);

    /// The text ends here.
    fn finish(&mut self) {}
}

/// Cuts `text` by the fastest instructions that this processor has.
#[inline]
pub fn split<S: Sink>(text: &[u8], pattern: Pattern, sink: &mut S) {
    split_at(Level::best(), text, pattern, sink);
}

/// Cuts `text` with the instructions of a level: the same pieces at each.
#[inline]
pub fn split_at<S: Sink>(level: Level, text: &[u8], pattern: Pattern, sink: &mut S) {
    // SAFETY: the machine has what the level needs, which is listed at `Tiers for Set` and is all
    // that the function of its set enables; portable lanes need nothing.
    unsafe {
        match level.set() {
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => split_avx2(text, pattern, sink),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => split_avx512(text, pattern, sink),
            // No machine has the instructions of another target.
            _ => split_with::<Portable, S>(text, pattern, sink),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
fn split_avx512<S: Sink>(text: &[u8], pattern: Pattern, sink: &mut S) {
    // SAFETY: this function enables AVX-512 F and BW, which the lanes need.
    unsafe { split_with::<super::lanes::Avx512, S>(text, pattern, sink) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn split_avx2<S: Sink>(text: &[u8], pattern: Pattern, sink: &mut S) {
    // SAFETY: this function enables AVX2, which the lanes need.
    unsafe { split_with::<super::lanes::Avx2, S>(text, pattern, sink) }
}

/// Chooses the loop for the pattern, so that none of it is decided inside.
///
/// # Safety
///
/// The processor must have the instructions of `L`.
#[inline(always)]
unsafe fn split_with<L: Lanes, S: Sink>(text: &[u8], pattern: Pattern, sink: &mut S) {
    // SAFETY: the processor has the instructions of `L` (this function's contract).
    unsafe {
        match pattern {
            Pattern::Gpt2 => windows::<L, S>(text, Pattern::Gpt2, sink),
            Pattern::Cl100k { digits: 3 } => {
                windows::<L, S>(text, Pattern::Cl100k { digits: 3 }, sink);
            }
            Pattern::Cl100k { digits } => windows::<L, S>(text, Pattern::Cl100k { digits }, sink),
            Pattern::Whole if text.is_empty() => {}
            Pattern::Whole => sink.piece(text, 0, text.len()),
        }
    }
    sink.finish();
}

/// # Safety
///
/// The processor must have the instructions of `L`.
#[inline(always)]
unsafe fn windows<L: Lanes, S: Sink>(text: &[u8], pattern: Pattern, sink: &mut S) {
    let classes = Classes::get();
    let mut at = 0;
    while let Some(bytes) = text[at..].first_chunk::<READABLE>() {
        // SAFETY: the processor has the instructions of `L` (this function's contract).
        let next = unsafe { window::<L, S>(bytes, at, 64, pattern, sink) };
        at = if next > at { next } else { pieces(text, at, pattern, classes, sink) };
    }
    // What is left is copied to where reading beyond its end finds zeros.
    let (base, mut tail) = (at, [0; 2 * READABLE]);
    tail[..text.len() - base].copy_from_slice(&text[base..]);
    while at < text.len() {
        let bytes = tail[at - base..].first_chunk::<READABLE>().expect("the copy is padded");
        let length = (text.len() - at).min(64) as u32;
        // SAFETY: the processor has the instructions of `L` (this function's contract).
        let next = unsafe { window::<L, S>(bytes, at, length, pattern, sink) };
        at = if next > at { next } else { pieces(text, at, pattern, classes, sink) };
    }
}

/// Hands on the pieces that are certain; returns where the last one ends.
///
/// # Safety
///
/// The processor must have the instructions of `L`.
#[inline(always)]
unsafe fn window<L: Lanes, S: Sink>(
    bytes: &[u8; READABLE],
    origin: usize,
    length: u32,
    pattern: Pattern,
    sink: &mut S,
) -> usize {
    let bytes64 = bytes.first_chunk::<64>().expect("a window is longer");
    // SAFETY: the processor has the instructions of `L` (this function's contract).
    let masks = unsafe { L::masks(bytes64) };
    let ascii = masks.high.trailing_zeros().min(length);
    let last = length < 64 && ascii == length;
    let view = Window { masks, length: ascii, last, bytes: bytes64 };
    let starts = view.starts(pattern);
    let reach = 63 - starts.leading_zeros();
    if reach > 0 {
        sink.window(bytes, origin, starts);
    }
    origin + reach as usize
}

/// Hands on pieces one by one until the text looks like ASCII again; returns where it stopped.
#[inline(never)]
fn pieces<S: Sink>(
    text: &[u8],
    start: usize,
    pattern: Pattern,
    classes: Classes,
    sink: &mut S,
) -> usize {
    let mut at = start;
    loop {
        let end = pattern.piece_end(text, at, classes);
        sink.piece(text, at, end);
        at = end;
        let ahead = &text[at..text.len().min(at + 16)];
        if ahead.is_ascii() {
            return at;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Those that cut.
    pub(in super::super) const PATTERNS: [Pattern; 3] =
        [Pattern::Gpt2, Pattern::Cl100k { digits: 3 }, Pattern::Cl100k { digits: 1 }];

    /// Ends of pieces, and that pieces follow each other without gaps.
    #[derive(Default)]
    struct Ends(Vec<usize>);

    impl Sink for Ends {
        fn window(&mut self, _: &[u8; READABLE], origin: usize, starts: u64) {
            assert_eq!(origin, self.0.last().copied().unwrap_or(0));
            self.0.extend((1..64).filter(|i| starts >> i & 1 == 1).map(|i| origin + i));
        }

        fn piece(&mut self, _: &[u8], start: usize, end: usize) {
            assert_eq!(start, self.0.last().copied().unwrap_or(0));
            self.0.push(end);
        }
    }

    /// Fails unless all instructions cut as the matcher does.
    pub(in super::super) fn check(text: &[u8]) {
        for pattern in PATTERNS {
            let expected = pattern.ends(text);
            for level in Level::available() {
                let mut ends = Ends::default();
                split_at(level, text, pattern, &mut ends);
                let (level, text) = (level.name(), String::from_utf8_lossy(text));
                assert_eq!(expected, ends.0, "{level} {pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn windows_find_what_the_matcher_finds() {
        let alphabet = [
            "a", "Z", "s", "t", "'", "'s", "'re", "'LL", "l", "e", "0", "7", " ", "  ", "\n",
            "\r\n", "\t", "!", "(", "_", "é", "\u{3000}", "\u{17F}", "中", "٣", "\u{301}", "😀",
        ];
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for round in 0..60_000 {
            let mut text = String::new();
            // Some rounds draw from a few strings only, which makes long runs.
            let (first, few) = (round % alphabet.len(), if round % 3 == 0 { 3 } else { 64 });
            let length = round % 97;
            for _ in 0..length {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let pick = (state >> 33) as usize % few.min(alphabet.len());
                text += alphabet[(first + pick * 5) % alphabet.len()];
            }
            if round % 2 == 0 {
                text.retain(|c| c.is_ascii());
            }
            check(text.as_bytes());
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_cut_too() {
        let mut state = 1_u64;
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            check(&bytes);
        }
    }
}
