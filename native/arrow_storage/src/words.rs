//! The words of a text, in any language: what texts are searched by.
//!
//! A text is folded: NFC, then letter by letter to lower, upper and lower case again. Its words are
//! the runs of letters, numbers, marks and underscores; joiners without width are left out. Scripts
//! that put no spaces between words, and Korean, are cut into pairs of neighbouring characters, each
//! with its marks. Texts have single characters beside their pairs, queries only where there is no
//! pair. `aios_core/memory/words.py` has the same in Python.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Characters of scripts that are cut into pairs, first and last ones of ranges.
const DENSE: [(u32, u32); 23] = [
    (0x0E00, 0x0EFF), // Thai, Lao
    (0x1000, 0x109F), // Myanmar
    (0x1100, 0x11FF), // Hangul
    (0x1780, 0x17FF), // Khmer
    (0x1950, 0x19DF), // Tai Le, New Tai Lue
    (0x1A20, 0x1AAF), // Tai Tham
    (0x2E80, 0x2FDF), // radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x303C),
    (0x3041, 0x318F), // Hiragana, Katakana, Bopomofo, Hangul
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), // Han
    (0x4E00, 0x9FFF),
    (0xA960, 0xA97F), // Hangul
    (0xA9E0, 0xA9FF), // Myanmar
    (0xAA60, 0xAA7F),
    (0xAC00, 0xD7FF), // Hangul
    (0xF900, 0xFAFF), // Han
    (0xFF66, 0xFFDC), // of half width
    (0x1_B000, 0x1_B16F),
    (0x2_0000, 0x3_FFFF), // Han
];

/// The words of a text, in its order; `query` is whether it is what is searched for.
#[must_use]
pub fn words(text: &str, query: bool) -> Vec<String> {
    if text.is_ascii() {
        return text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
    }
    let mut result = Vec::new();
    let mut run = Run::default();
    for c in folded(text).chars() {
        if is_combining_mark(c) {
            run.mark(c, &mut result, query);
        } else if is_word(c) {
            run.letter(c, &mut result, query);
        } else {
            run.end(&mut result, query);
        }
    }
    run.end(&mut result, query);
    result
}

/// A text as others of the same letters are, whatever their case and composition.
fn folded(text: &str) -> String {
    let cased: String = text
        .nfc()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|&c| c != '\u{200C}' && c != '\u{200D}')
        .nfc()
        .collect();
    cased.replace("i\u{307}", "i")
}

/// Whether a character that is no mark belongs to a word. Circled letters count as alphabetic, but
/// are symbols.
fn is_word(c: char) -> bool {
    let circled = matches!(c, '\u{24B6}'..='\u{24E9}' | '\u{1F130}'..='\u{1F189}');
    c == '_' || (c.is_alphanumeric() && !circled)
}

fn is_dense(c: char) -> bool {
    let code = u32::from(c);
    DENSE
        .binary_search_by(|&(first, last)| {
            if last < code {
                std::cmp::Ordering::Less
            } else if first > code {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        })
        .is_ok()
}

/// Characters that belong together, so far.
#[derive(Default)]
struct Run {
    /// Marks without a letter before them.
    marks: String,
    plain: String,
    dense: Vec<String>,
}

impl Run {
    fn mark(&mut self, c: char, result: &mut Vec<String>, query: bool) {
        if let Some(last) = self.dense.last_mut() {
            last.push(c);
        } else if !self.plain.is_empty() {
            self.plain.push(c);
        } else if is_dense(c) {
            self.letter(c, result, query);
        } else {
            self.marks.push(c);
        }
    }

    fn letter(&mut self, c: char, result: &mut Vec<String>, query: bool) {
        if is_dense(c) {
            if !self.plain.is_empty() {
                self.end(result, query);
            }
            self.marks.clear();
            self.dense.push(c.into());
        } else {
            if !self.dense.is_empty() {
                self.end(result, query);
            }
            self.plain.push_str(&std::mem::take(&mut self.marks));
            self.plain.push(c);
        }
    }

    fn end(&mut self, result: &mut Vec<String>, query: bool) {
        self.marks.clear();
        if !self.plain.is_empty() {
            result.push(std::mem::take(&mut self.plain));
        }
        let dense = std::mem::take(&mut self.dense);
        if dense.len() == 1 || !query {
            result.extend(dense.iter().cloned());
        }
        result.extend(dense.windows(2).map(|pair| pair.concat()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_many_languages() {
        for (text, right) in [
            ("Straße STRASSE", vec!["strasse", "strasse"]),
            ("\u{130}stanbul café cafe\u{301}", vec!["istanbul", "caf\u{e9}", "caf\u{e9}"]),
            ("हिन्दी, ΟΔΟΣ", vec!["हिन्दी", "οδοσ"]),
            ("黒い猫", vec!["黒", "い", "猫", "黒い", "い猫"]),
            ("v2 ของ", vec!["v2", "ข", "อ", "ง", "ขอ", "อง"]),
        ] {
            assert_eq!(right, words(text, false), "{text}");
        }
        assert_eq!(vec!["黒い", "い猫"], words("黒い猫", true));
        assert_eq!(vec!["猫"], words("猫", true));
    }
}
