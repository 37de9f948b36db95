//! Refuses a file whose entries ask for more time or memory than any text needs.
//!
//! The reference believes all of them. Each is looked at where it stands, by its name, before
//! anything is made of it; published files stay far below every limit.

mod tokens;

use onig::{Regex, Region};
use serde_json::{Map, Value};

use crate::bounded::limited;
use crate::format::shorten;
use crate::{Error, Result};

/// Longest row that a file may ask every text to be padded to.
const PADDED: u64 = 1 << 20;
/// WordPiece takes time by the cube of it.
const WORD: u64 = 512;
/// Most bytes that a precompiled normalizer puts in place of a character.
const NORMAL: usize = 64;
/// Most parts of a template.
const PARTS: usize = 64;
/// Longest regular expression, in bytes; published ones are below a twentieth of it.
const PATTERN: usize = 1 << 14;
/// Most regular expressions.
const REGEXES: usize = 64;
/// Steps back that one search of a probe may take: more than the cube of its length.
const PROBE: u32 = 1 << 17;
/// Steps of a search that takes few, and how many of a file's may take more.
const FEW: u32 = 1 << 12;
const SLOW: usize = 128;
/// Repetitions in a probe.
const REPEATED: usize = 40;

/// The patterns of a file: where, and what.
pub(crate) type Patterns = Vec<(String, String)>;

/// What is wrong, and where.
type Problem = (String, String);

/// Looks at all entries.
///
/// # Errors
/// The first entry that cannot be, by its name.
pub(crate) fn check(file: &Value) -> Result<Patterns> {
    let ids = tokens::check(file).map_err(|(at, problem)| Error::entry(at, problem))?;
    let mut walk = Walk { ids, patterns: Vec::new(), regexes: 0, slow: 0 };
    walk.descend(file, "")?;
    Ok(walk.patterns)
}

struct Walk {
    /// All ids are below it.
    ids: u64,
    patterns: Patterns,
    /// Regular expressions, and searches of them that took more than a few steps.
    regexes: usize,
    slow: usize,
}

impl Walk {
    fn descend(&mut self, value: &Value, path: &str) -> Result<()> {
        match value {
            Value::Object(entries) => {
                for (key, inner) in entries {
                    // A vocabulary is long, and was looked at.
                    if matches!(key.as_str(), "vocab" | "merges") {
                        continue;
                    }
                    let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    let problem = |problem| Error::entry(shorten(&at), problem);
                    self.entry(entries, key, inner, &at).map_err(problem)?;
                    self.descend(inner, &at)?;
                }
            }
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    if item.is_object() || item.is_array() {
                        self.descend(item, &format!("{path}[{i}]"))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn entry(
        &mut self,
        entries: &Map<String, Value>,
        key: &str,
        value: &Value,
        at: &str,
    ) -> std::result::Result<(), String> {
        let last = self.ids - 1;
        match (key, value) {
            ("Regex" | "String", Value::String(pattern)) => {
                if pattern.len() > PATTERN {
                    return Err(format!("expected at most {PATTERN} bytes, got {}", pattern.len()));
                }
                if key == "Regex" {
                    self.regexes += 1;
                    if self.regexes > REGEXES {
                        return Err(format!("expected at most {REGEXES} in a file, got more"));
                    }
                    probe(pattern, &mut self.slow)?;
                }
                self.patterns.push((at.into(), pattern.clone()));
                Ok(())
            }
            ("id", Value::Number(_)) => number(value, 0, last),
            ("ids", Value::Array(ids)) => ids.iter().try_for_each(|id| number(id, 0, last)),
            ("sep" | "cls", Value::Array(pair)) => {
                pair.get(1).map_or(Ok(()), |id| number(id, 0, last))
            }
            ("single" | "pair", Value::Array(parts)) if parts.len() > PARTS => {
                Err(format!("expected at most {PARTS} parts, got {}", parts.len()))
            }
            ("Fixed", _) => number(value, 0, PADDED),
            ("pad_to_multiple_of", Value::Number(_)) => number(value, 1, PADDED),
            ("pad_id", _) => number(value, 0, last),
            ("stride", Value::Number(_)) => {
                let most = entries.get("max_length").and_then(Value::as_u64).unwrap_or(0);
                number(value, 0, most.saturating_sub(1))
            }
            ("max_input_chars_per_word", _) => number(value, 0, WORD),
            ("length", _) => number(value, 1, PADDED),
            ("precompiled_charsmap", Value::String(map)) => charsmap(map),
            _ => Ok(()),
        }
    }
}

fn number(value: &Value, first: u64, last: u64) -> std::result::Result<(), String> {
    match value.as_u64() {
        Some(number) if (first..=last).contains(&number) => Ok(()),
        _ => Err(format!("expected {first} to {last}, got {}", shorten(&value.to_string()))),
    }
}

/// A map of SentencePiece: a size of four bytes, so many bytes of a tree, and texts that end with
/// zeros. The reference takes memory for whatever the size says.
fn charsmap(map: &str) -> std::result::Result<(), String> {
    let bytes = base64(map).ok_or("expected base 64, got other characters")?;
    let short = || format!("expected at least 4 bytes, got {}", bytes.len());
    let (size, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    let size = u32::from_le_bytes(*size) as usize;
    let texts =
        rest.get(size..).ok_or(format!("expected a tree of {size} bytes, got {}", rest.len()))?;
    match texts.split(|&byte| byte == 0).map(<[u8]>::len).max() {
        Some(most) if most > NORMAL => {
            Err(format!("expected a character to become at most {NORMAL} bytes, got {most}"))
        }
        _ => Ok(()),
    }
}

/// Bytes of base 64 (RFC 4648); what fills up the end may be missing.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

/// Tries a pattern on texts that repeat what it speaks of and then end otherwise.
fn probe(pattern: &str, slow: &mut usize) -> std::result::Result<(), String> {
    let regex = Regex::new(pattern).map_err(|error| error.description().to_owned())?;
    let mut letters: Vec<char> = "a1 \n.é中".chars().collect();
    for letter in pattern.chars().filter(|letter| !letter.is_ascii_punctuation()) {
        if letters.len() < 16 && !letters.contains(&letter) {
            letters.push(letter);
        }
    }
    let singles = letters.iter().map(char::to_string);
    let pairs = letters.iter().flat_map(|a| letters.iter().map(move |b| format!("{a}{b}")));
    // The matcher does not even begin where a letter that must come is nowhere.
    let all: String = letters.iter().copied().chain(pattern.chars()).collect();
    let mut region = Region::new();
    for unit in singles.chain(pairs) {
        for end in ["", "\u{1}", &format!("\u{1}{all}")] {
            let text = unit.repeat(REPEATED) + end;
            let mut find = |steps| limited(&regex, &text, 0, &mut region, steps);
            if find(FEW).is_ok() {
                continue;
            }
            *slow += 1;
            let most = if *slow > SLOW { FEW } else { PROBE };
            find(most).map_err(|error| {
                let (size, reason) = (text.len(), error.description());
                format!(
                    "expected a pattern without nested repetition, got one that backtracks for too \
                     long on {size} bytes of text ({reason})"
                )
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(Some(b"any carnal pleas".to_vec()), base64("YW55IGNhcm5hbCBwbGVhcw=="));
        assert_eq!(Some(vec![0xFB, 0xFF, 0xFE]), base64("+//+"));
        assert_eq!((Some(vec![]), None), (base64(""), base64("a b")));
    }
}
