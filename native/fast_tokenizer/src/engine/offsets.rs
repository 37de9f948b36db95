//! Where in the text each id comes from.

use std::ops::Range;

use super::tokenizer::Engine;

impl Engine {
    /// Ids of a text and the bytes that each stands for.
    ///
    /// A token that is part of a character lies inside it. A blank that was put in front belongs to
    /// no byte of the text.
    pub fn encode_with_offsets(&self, text: &[u8], added: bool) -> (Vec<u32>, Vec<Range<usize>>) {
        let (mut ids, mut offsets) = (Vec::new(), Vec::new());
        let mut state = self.take();
        self.segments(text, added, |segment| {
            let Some(id) = segment.id else {
                let first = ids.len();
                self.encode_segment(&text[segment.range.clone()], &mut state, &mut ids);
                let lengths: usize = ids[first..].iter().map(|&id| self.token(id).len()).sum();
                // What is longer than its text begins with a blank that was put there.
                let mut surplus = lengths - segment.range.len();
                let mut at = segment.range.start;
                offsets.extend(ids[first..].iter().map(|&id| {
                    let start = at;
                    let length = self.token(id).len();
                    at += length - surplus.min(length);
                    surplus -= surplus.min(length);
                    start..at
                }));
                return;
            };
            ids.push(id);
            offsets.push(segment.range);
        });
        self.give_back(state);
        (ids, offsets)
    }
}

/// The characters, counted from the start of the text, that ranges of its bytes touch.
///
/// The ranges must be in order.
pub fn in_characters(text: &str, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut character = 0;
    let mut starts = text.char_indices().map(|(at, _)| at).skip(1).chain([text.len()]);
    let mut next = starts.next().unwrap_or(0);
    // The character in which a byte lies; bytes are asked for in order.
    let mut of = |at: usize| {
        while at >= next && next < text.len() {
            character += 1;
            next = starts.next().unwrap_or(text.len());
        }
        character + usize::from(at >= text.len() && !text.is_empty())
    };
    ranges
        .iter()
        .map(|range| {
            let start = of(range.start);
            let end = if range.is_empty() { start } else { of(range.end - 1) + 1 };
            start..end
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::in_characters;

    #[test]
    fn a_part_of_a_character_is_the_character() {
        let found = in_characters("aé中", &[0..1, 1..2, 2..3, 3..6, 6..6]);
        assert_eq!(vec![0..1, 1..2, 1..2, 2..3, 3..3], found);
    }
}
