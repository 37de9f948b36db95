//! Finds added tokens in a text, as the reference does: leftmost, then longest.

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

use super::spec::Added;

/// A stretch of text: an added token with its id, or what lies between two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies, in bytes.
    pub range: std::ops::Range<usize>,
    /// The id, if it is an added token.
    pub id: Option<u32>,
}

/// Two passes: tokens that are not normalized, then the others in what is left.
#[derive(Clone, Debug)]
pub struct Finder {
    passes: Vec<Pass>,
    special: bool,
}

#[derive(Clone, Debug)]
struct Pass {
    automaton: AhoCorasick,
    tokens: Vec<Added>,
}

impl Finder {
    /// A finder of these tokens, or of those that are not special: the names of the others are
    /// passed over as the reference passes over them.
    ///
    /// # Errors
    ///
    /// There are too many of them for one automaton.
    pub fn new(added: &[Added], special: bool) -> Result<Self, BuildError> {
        let mut passes = Vec::new();
        for normalized in [false, true] {
            let chosen = added.iter().filter(|token| token.normalized == normalized);
            let tokens: Vec<Added> = chosen.cloned().collect();
            if !tokens.is_empty() {
                let automaton = AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .build(tokens.iter().map(|token| &token.content))?;
                passes.push(Pass { automaton, tokens });
            }
        }
        Ok(Self { passes, special })
    }

    /// Calls `each` for every stretch of the text, in order; none is empty.
    pub fn segments(&self, text: &[u8], mut each: impl FnMut(Segment)) {
        descend(&self.passes, self.special, text, 0..text.len(), &mut each);
    }
}

fn descend(
    passes: &[Pass],
    special: bool,
    text: &[u8],
    range: std::ops::Range<usize>,
    each: &mut impl FnMut(Segment),
) {
    if range.is_empty() {
        return;
    }
    let Some((pass, rest)) = passes.split_first() else {
        return each(Segment { range, id: None });
    };
    let inside = &text[range.clone()];
    let mut done = 0;
    for found in pass.automaton.find_iter(inside) {
        let token = &pass.tokens[found.pattern().as_usize()];
        if token.special && !special {
            continue;
        }
        let (mut start, mut end) = (found.start(), found.end());
        if token.lstrip {
            start = (start - trailing_space(&inside[..start])).max(done);
        }
        if token.rstrip {
            end += leading_space(&inside[end..]);
        }
        // A token that took the space after it along may have swallowed what was found next.
        descend(rest, special, text, range.start + done..range.start + start.max(done), each);
        each(Segment { range: range.start + start..range.start + end, id: Some(token.id) });
        done = end;
    }
    descend(rest, special, text, range.start + done..range.end, each);
}

/// Bytes of white space at the start.
fn leading_space(text: &[u8]) -> usize {
    let mut length = 0;
    // One character at a time: looking at all of a long text for each token would be quadratic.
    while let Some(character) = (1..=4)
        .filter_map(|size| text.get(length..length + size))
        .find_map(|bytes| std::str::from_utf8(bytes).ok())
        .filter(|character| character.trim_start().is_empty())
    {
        length += character.len();
    }
    length
}

/// Bytes of white space at the end.
fn trailing_space(text: &[u8]) -> usize {
    let (mut end, mut length) = (text.len(), 0);
    while end > 0 {
        let start = (1..=end.min(4)).find(|back| text[end - back] & 0xC0 != 0x80).unwrap_or(1);
        match std::str::from_utf8(&text[end - start..end]) {
            Ok(character) if character.trim_end().is_empty() => {
                (end, length) = (end - start, length + start);
            }
            _ => break,
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, content: &str, lstrip: bool, rstrip: bool, normalized: bool) -> Added {
        Added { id, content: content.to_owned(), special: true, normalized, lstrip, rstrip }
    }

    fn segments(added: &[Added], text: &str) -> Vec<(String, Option<u32>)> {
        let mut found = Vec::new();
        let finder = Finder::new(added, true).unwrap();
        finder.segments(text.as_bytes(), |segment| {
            found.push((text[segment.range].to_owned(), segment.id));
        });
        found
    }

    fn owned(found: &[(&str, Option<u32>)]) -> Vec<(String, Option<u32>)> {
        found.iter().map(|(text, id)| ((*text).to_owned(), *id)).collect()
    }

    #[test]
    fn leftmost_longest_with_space_taken_along() {
        let added = [
            token(1, "<m>", true, true, false),
            token(2, "<m>>", false, false, false),
            token(3, "ab", false, false, true),
        ];
        let expected =
            owned(&[("x", None), (" \u{3000}<m> ", Some(1)), ("c", None), ("ab", Some(3))]);
        assert_eq!(expected, segments(&added, "x \u{3000}<m> cab"));
        assert_eq!(owned(&[("<m>>", Some(2))]), segments(&added, "<m>>"));
        assert_eq!(owned(&[]), segments(&added, ""));
        assert_eq!(owned(&[("plain", None)]), segments(&[], "plain"));
    }

    /// A token takes space along that no other one has taken.
    #[test]
    fn stretches_follow_each_other_whatever_tokens_take_along() {
        let added = [
            token(1, "<a>", true, true, false),
            token(2, "<b>", true, false, false),
            token(3, "<c>", false, true, true),
        ];
        let expected = owned(&[("<a>  ", Some(1)), ("<b>", Some(2)), (" <b>", Some(2))]);
        assert_eq!(expected, segments(&added, "<a>  <b> <b>"));
        let expected = owned(&[(" \t<a>\n", Some(1)), ("<a> ", Some(1)), ("x", None)]);
        assert_eq!(expected, segments(&added, " \t<a>\n<a> x"));
        let units = ["<a>", "<b>", "<c>", " ", "\u{3000}", "\n", "x", "é", "<"];
        let mut state = 3_u64;
        for round in 0..3000 {
            let mut text = String::new();
            for _ in 0..round % 9 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text += units[(state >> 33) as usize % units.len()];
            }
            let mut done = 0;
            for special in [false, true] {
                let finder = Finder::new(&added, special).unwrap();
                finder.segments(text.as_bytes(), |segment| {
                    assert_eq!(done, segment.range.start, "{text:?}");
                    assert!(!segment.range.is_empty(), "{text:?}");
                    assert!(special || segment.id.is_none(), "{text:?}");
                    done = segment.range.end;
                });
                assert_eq!(text.len(), std::mem::take(&mut done), "{text:?}");
            }
        }
    }
}
