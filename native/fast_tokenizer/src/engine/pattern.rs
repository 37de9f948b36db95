//! The splitting patterns that are known by heart, and a matcher that goes one piece at a time.
//!
//! This matcher defines the result; `window.rs` computes the same for 64 bytes at once.

use super::unicode::{Class, Classes};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const CL100K: [(&str, u8); 2] = [
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        3,
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        1,
    ),
];

/// How text is cut into pieces before merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// GPT-2's, which is also `ByteLevel`'s own.
    Gpt2,
    /// GPT-4's (cl100k) and Llama-3's, with at most `digits` (1 or 3) numbers a piece; 1 is Qwen2's.
    Cl100k {
        /// Longest run of numbers in a piece, in characters.
        digits: u8,
    },
    /// No cut at all: merges run over the whole text.
    Whole,
}

impl Pattern {
    /// The pattern that a regular expression stands for, if it is known letter by letter.
    pub fn from_regex(regex: &str) -> Option<Self> {
        if regex == GPT2 {
            return Some(Self::Gpt2);
        }
        let known = CL100K.iter().find(|(text, _)| *text == regex);
        known.map(|&(_, digits)| Self::Cl100k { digits })
    }

    /// The regular expression, as a `tokenizer.json` spells it; None for `Whole`.
    pub fn regex(self) -> Option<&'static str> {
        match self {
            Self::Gpt2 => Some(GPT2),
            Self::Cl100k { digits } => CL100K.iter().find(|c| c.1 == digits).map(|c| c.0),
            Self::Whole => None,
        }
    }

    /// Ends of all pieces, without the short cuts that encoding takes; for tests and inspection.
    pub fn ends(self, text: &[u8]) -> Vec<usize> {
        let (mut at, mut ends) = (0, Vec::new());
        while at < text.len() {
            at = self.piece_end(text, at, Classes::get());
            ends.push(at);
        }
        ends
    }

    /// A text in parts of at least `size` bytes, but for the last, that have the pieces of the whole.
    ///
    /// Cut is between an ASCII letter or digit and ASCII white space. No pattern has a piece that
    /// holds the two in this order, and none looks past the cut from the left, because only white
    /// space looks ahead.
    pub(super) fn parts(self, text: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
        let safe = |pair: &[u8]| {
            pair[0].is_ascii_alphanumeric() && matches!(pair[1], b' ' | b'\t' | b'\n' | b'\r')
        };
        let mut rest = text;
        std::iter::from_fn(move || {
            let from = size.max(1);
            let cut = if from >= rest.len() || self == Self::Whole {
                rest.len()
            } else {
                let found = rest[from - 1..].windows(2).position(safe);
                found.map_or(rest.len(), |at| from + at)
            };
            let (part, after) = rest.split_at(cut);
            rest = after;
            (!part.is_empty()).then_some(part)
        })
    }

    /// End of the piece that starts at `at`, which must lie inside `text` and be a piece's start.
    #[inline]
    pub(super) fn piece_end(self, text: &[u8], at: usize, classes: Classes) -> usize {
        match self {
            Self::Gpt2 => gpt2(text, at, classes),
            Self::Cl100k { digits } => cl100k(text, at, digits, classes),
            Self::Whole => text.len(),
        }
    }
}

fn gpt2(text: &[u8], at: usize, classes: Classes) -> usize {
    if let Some(end) = contraction(text, at, false) {
        return end;
    }
    let (mut class, mut length) = classes.at(text, at);
    let mut start = at;
    if text[at] == b' ' && at + 1 < text.len() {
        let (next, next_length) = classes.at(text, at + 1);
        if next != Class::Space {
            (class, length, start) = (next, next_length, at + 1);
        }
    }
    match class {
        Class::Space => spaces(text, at, classes, false),
        class => run(text, start + length, class, usize::MAX, classes),
    }
}

fn cl100k(text: &[u8], at: usize, digits: u8, classes: Classes) -> usize {
    if let Some(end) = contraction(text, at, true) {
        return end;
    }
    let (class, length) = classes.at(text, at);
    let next = at + length;
    match class {
        Class::Letter => return run(text, next, class, usize::MAX, classes),
        Class::Number => return run(text, next, class, usize::from(digits) - 1, classes),
        Class::Space | Class::Other => {}
    }
    let mut other = class == Class::Other;
    if next < text.len() {
        let (following, following_length) = classes.at(text, next);
        if following == Class::Letter && !matches!(text[at], b'\r' | b'\n') {
            return run(text, next + following_length, Class::Letter, usize::MAX, classes);
        }
        other |= text[at] == b' ' && following == Class::Other;
    }
    if !other {
        return spaces(text, at, classes, true);
    }
    let end = run(text, next, Class::Other, usize::MAX, classes);
    let newlines = text[end..].iter().take_while(|b| matches!(b, b'\r' | b'\n'));
    end + newlines.count()
}

/// End of a run of at most `limit` characters of one class.
#[inline]
fn run(text: &[u8], mut at: usize, class: Class, limit: usize, classes: Classes) -> usize {
    let mut left = limit;
    while at < text.len() && left > 0 {
        let (found, length) = classes.at(text, at);
        if found != class {
            break;
        }
        at += length;
        left -= 1;
    }
    at
}

/// `\s*[\r\n]+` where `newlines`, then `\s+(?!\S)`, then `\s+`.
fn spaces(text: &[u8], start: usize, classes: Classes, newlines: bool) -> usize {
    let (mut at, mut last, mut after_newline) = (start, start, None);
    while at < text.len() {
        let (class, length) = classes.at(text, at);
        if class != Class::Space {
            break;
        }
        last = at;
        if matches!(text[at], b'\r' | b'\n') {
            after_newline = Some(at + 1);
        }
        at += length;
    }
    match after_newline {
        Some(end) if newlines => end,
        // The last one is left to the word that follows, unless it is the only one.
        _ if at < text.len() && last > start => last,
        _ => at,
    }
}

/// End of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at `at`.
#[inline]
pub fn contraction(text: &[u8], at: usize, fold: bool) -> Option<usize> {
    if text[at] != b'\'' {
        return None;
    }
    let letter = |i: usize| -> u8 {
        let byte = text.get(at + i).copied().unwrap_or(0);
        if fold { byte.to_ascii_lowercase() } else { byte }
    };
    match (letter(1), letter(2)) {
        (b's' | b't' | b'm' | b'd', _) => Some(at + 2),
        (b'r' | b'v', b'e') | (b'l', b'l') => Some(at + 3),
        // The long s folds to s.
        (0xC5, 0xBF) if fold => Some(at + 3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pattern: Pattern, text: &str) -> Vec<&str> {
        let mut start = 0;
        let ends = pattern.ends(text.as_bytes()).into_iter();
        ends.map(|end| &text[std::mem::replace(&mut start, end)..end]).collect()
    }

    #[test]
    fn gpt2_pieces() {
        assert_eq!(
            vec!["I", "'ll", " say", "   ", " it", "'s", " '", "S", "!", " 12345", "\n", "\n", "x"],
            pieces(Pattern::Gpt2, "I'll say    it's 'S! 12345\n\nx")
        );
    }

    #[test]
    fn cl100k_pieces() {
        assert_eq!(
            vec!["I", "'LL", " say", "   ", " it", "?\n", "  \n", "  ", " ", "123", "45", "(x"],
            pieces(Pattern::Cl100k { digits: 3 }, "I'LL say    it?\n  \n   12345(x")
        );
    }

    /// Fault T3 of the changes that no test noticed.
    #[test]
    fn parts_of_any_size_have_the_pieces_of_the_whole() {
        let units =
            ["a", "S", "'s", "'", "1", "23", "?", "?\n", " ", "\n", "\r\n", "\t", "é", "中"];
        let mut state = 7_usize;
        for round in 0..3000 {
            let mut text = String::new();
            for _ in 0..round % 24 {
                state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                text += units[(state >> 33) % units.len()];
            }
            for pattern in [
                Pattern::Gpt2,
                Pattern::Cl100k { digits: 3 },
                Pattern::Cl100k { digits: 1 },
                Pattern::Whole,
            ] {
                let whole = pattern.ends(text.as_bytes());
                for size in 1..9 {
                    let (mut start, mut ends) = (0, Vec::new());
                    for part in pattern.parts(text.as_bytes(), size) {
                        ends.extend(pattern.ends(part).into_iter().map(|end| start + end));
                        start += part.len();
                        assert!(part.len() >= size || start == text.len(), "{size} {text:?}");
                    }
                    assert_eq!(whole, ends, "{pattern:?} {size} {text:?}");
                }
            }
        }
    }

    #[test]
    fn regexes_are_known_letter_by_letter() {
        for pattern in [Pattern::Gpt2, Pattern::Cl100k { digits: 3 }, Pattern::Cl100k { digits: 1 }]
        {
            assert_eq!(Some(pattern), Pattern::from_regex(pattern.regex().unwrap()));
        }
        assert_eq!(None, Pattern::from_regex(r"\s+"));
    }
}
