//! Regular expressions of the reference, with an end to their searches.
//!
//! The reference matches with Oniguruma, which backtracks: `(a+)+$` takes time exponential in a
//! text's length, and the reference asks for no limit. Here all searches in a text share one
//! allowance of steps back, so that the time is linear in its length whatever the pattern. It
//! counts steps and no seconds: whether a text is refused does not depend on the machine.

use std::cell::{Cell, RefCell};
use std::ffi::c_ulong;

use onig::{MatchParam, Regex, Region, SearchOptions};
use tokenizers::Offsets;
use tokenizers::tokenizer::pattern::Pattern;

/// Steps that any text may take, about a quarter of a second.
const BASE: u64 = 1 << 24;
/// Steps more for each byte. What is linear takes one or two for each character of a run.
const EACH: u64 = 32;
/// Steps of one search that are not counted; each match, too, uses up some of the text.
const FREE: u32 = 128;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(BASE) };
    /// Why a step gave up. The reference looks at no error of a normalizer, so we do.
    static REFUSED: RefCell<Option<TooMuch>> = const { RefCell::new(None) };
}

/// A step that asks for more than any text needs.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} {problem}")]
pub(crate) struct TooMuch {
    /// The pattern of the step as the file spells it, if it has one.
    pub pattern: String,
    /// What it does.
    pub problem: String,
}

impl TooMuch {
    /// Keeps in mind that the text is refused; the error ends the step.
    pub(crate) fn refuse(pattern: &str, problem: String) -> tokenizers::Error {
        let error = Self { pattern: pattern.into(), problem };
        let message = error.to_string();
        REFUSED.set(Some(error));
        message.into()
    }
}

/// Grants what `work` does as many steps as `bytes` of text may take.
///
/// # Errors
/// Whatever `work` returns, if a step in it refused the text.
pub(crate) fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> Result<T, TooMuch> {
    LEFT.set(BASE.saturating_add(EACH.saturating_mul(bytes as u64)));
    REFUSED.take();
    let done = work();
    REFUSED.take().map_or(Ok(done), Err)
}

/// A regular expression, or a text that stands for itself.
#[derive(Debug)]
pub(crate) struct Bounded {
    regex: Regex,
    pattern: String,
}

impl Bounded {
    /// A regular expression.
    pub(crate) fn regex(pattern: &str) -> Result<Self, String> {
        Ok(Self { regex: compile(pattern)?, pattern: pattern.into() })
    }

    /// A text that is looked for as it is.
    pub(crate) fn literal(text: &str) -> Result<Self, String> {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            if r"\.+*?()|[]{}^$#&-~".contains(character) {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        Ok(Self { regex: compile(&escaped)?, pattern: text.into() })
    }

    /// The error of this pattern.
    pub(crate) fn refuse(&self, problem: String) -> tokenizers::Error {
        TooMuch::refuse(&self.pattern, problem)
    }

    /// The leftmost match that starts at `from` or later.
    fn search(
        &self,
        text: &str,
        from: usize,
        region: &mut Region,
    ) -> tokenizers::Result<Option<Offsets>> {
        let mut steps = FREE;
        loop {
            match limited(&self.regex, text, from, region, steps) {
                Ok(found) => return Ok(found.and_then(|_| region.pos(0))),
                Err(error) => {
                    // The number of steps it took is unknown, so more are granted until they suffice.
                    steps = steps.saturating_mul(4);
                    let left = LEFT.get().checked_sub(steps.into()).ok_or_else(|| {
                        let (size, cause) = (text.len(), error.description());
                        self.refuse(format!("backtracks for too long in {size} bytes ({cause})"))
                    })?;
                    LEFT.set(left);
                }
            }
        }
    }
}

/// One search that may take so many steps back.
pub(crate) fn limited(
    regex: &Regex,
    text: &str,
    from: usize,
    region: &mut Region,
    steps: u32,
) -> Result<Option<usize>, onig::Error> {
    region.clear();
    let mut limits = MatchParam::default();
    limits.set_retry_limit_in_match(steps);
    // SAFETY: `limits` owns the structure that `as_raw` points to, and is alive until it is given
    // away below; the function stores one number in it.
    unsafe {
        let steps = c_ulong::from(steps);
        onig_sys::onig_set_retry_limit_in_search_of_match_param(limits.as_raw(), steps);
    }
    let none = SearchOptions::SEARCH_OPTION_NONE;
    regex.search_with_param(text, from, text.len(), none, Some(region), limits)
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| error.description().to_owned())
}

/// Matches as onig's own iterator has them, which is what the reference takes.
impl Pattern for &Bounded {
    fn find_matches(&self, inside: &str) -> tokenizers::Result<Vec<(Offsets, bool)>> {
        if inside.is_empty() {
            return Ok(vec![((0, 0), false)]);
        }
        let (mut parts, mut done, mut from, mut last) = (Vec::new(), 0, 0, None);
        let mut region = Region::new();
        while from <= inside.len()
            && let Some((start, end)) = self.search(inside, from, &mut region)?
        {
            if start == end && last == Some(end) {
                // Nothing right after a match is no match.
                from += inside[from..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            if done < start {
                parts.push(((done, start), false));
            }
            parts.push(((start, end), true));
            (done, from, last) = (end, end, Some(end));
        }
        if done < inside.len() {
            parts.push(((done, inside.len()), false));
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_the_crates() {
        let patterns = [r"\s+", "a*", "", r"(?=b)", r"\b", "é|中", r"^|$", "b|", r"\p{L}+|\p{N}"];
        for pattern in patterns {
            let (theirs, ours) = (Regex::new(pattern).unwrap(), Bounded::regex(pattern).unwrap());
            for text in ["", "a", "aab b  aé中é", "中", " \n", "bbb", "1a2b中3"] {
                let expected = (&theirs).find_matches(text).unwrap();
                assert_eq!(expected, (&ours).find_matches(text).unwrap(), "{pattern} {text:?}");
            }
        }
    }

    #[test]
    fn literals_stand_for_themselves() {
        let text = r"x\.+*?()|[]{}^$#&-~' <>x";
        let parts = (&Bounded::literal(&text[1..text.len() - 1]).unwrap()).find_matches(text);
        let end = text.len() - 1;
        assert_eq!(
            vec![((0, 1), false), ((1, end), true), ((end, end + 1), false)],
            parts.unwrap()
        );
    }

    #[test]
    fn steps_are_shared_by_all_searches_in_a_text() {
        let pattern = Bounded::regex(r"(?:ab|ab)+!|\.").unwrap();
        let part = "ab".repeat(14) + ".";
        let find = |text: &str| within(text.len(), || (&pattern).find_matches(text).is_ok());
        // Each part alone is soon done, and a text that is refused leaves nothing behind.
        assert!(find(&part).unwrap());
        let error = find(&part.repeat(4000)).unwrap_err();
        assert!(error.to_string().contains("backtracks for too long in 116000 bytes"), "{error}");
        assert!(find(&part).unwrap());
    }
}
