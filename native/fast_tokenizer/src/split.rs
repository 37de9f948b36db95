//! Cuts text into the words inside which pairs are merged.
//!
//! The rule is GPT-2's: contractions, then letters, numbers and other marks each with at most one
//! space before them, then white space, of which the last character goes to the word after it. The
//! original says that with a look-ahead; here a word of white space gives its last character back,
//! so that the expression runs in linear time on any input.

use std::sync::LazyLock;

use regex::Regex;

static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+")
        .expect("a constant, and the tests compile it")
});

/// The words of a text, which together are the text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let mut word = WORD.find_at(text, start)?.as_str();
        if start + word.len() < text.len() && word.ends_with(char::is_whitespace) {
            word = match word.char_indices().next_back() {
                Some((last, _)) if last > 0 => &word[..last],
                _ => word,
            };
        }
        start += word.len();
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        words(text).collect()
    }

    #[test]
    fn words_follow_the_rule() {
        assert_eq!(Vec::<&str>::new(), split(""));
        assert_eq!(vec!["It", "'s", " 2", "nd", "-", "hand"], split("It's 2nd-hand"));
        assert_eq!(vec!["<", "mask", ">"], split("<mask>"));
        assert_eq!(vec!["a", "  ", " b"], split("a   b"));
        assert_eq!(vec!["a", "\n", "b"], split("a\nb"));
        assert_eq!(vec!["a", " ", "\n", "b"], split("a \nb"));
        assert_eq!(vec!["a", " \n"], split("a \n"));
        assert_eq!(vec!["\u{2003}", "\u{2003}", "é"], split("\u{2003}\u{2003}é"));
    }

    #[test]
    fn long_runs_take_linear_time() {
        for run in ["a", " ", "\u{3000}", "'", "9", "香"] {
            let text = run.repeat(1 << 20) + "x";

            assert_eq!(text, split(&text).concat());
        }
    }
}
