//! Pieces and ids beside the reference's: code points alone, in pairs, and in longer runs.
//!
//! There are 1.2e12 pairs of code points, too many to try one by one, and no need to. Of a code
//! point, the patterns see whether it is a letter, a number or white space, and whether it is one
//! of the few that they name, by itself or folded; this engine sees besides how many bytes of UTF-8
//! it takes, and which they are only where the patterns name it. Code points that are alike in all
//! this are of one *kind* and can stand for each other, provided that both sides class each of them
//! alike. So every code point is tried next to two of each kind, on both sides, which is linear;
//! and then those two of each kind in every run of four, so in every pair with all that can stand
//! around it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokenizers::tokenizer::pattern::Pattern as _;

use super::pattern::Pattern;
use super::split::tests::{PATTERNS, check};
use super::tables::{LETTERS, NUMBERS, SPACES};
use super::unicode::Classes;
use crate::{Any, Reading, Settings, Trainer};

/// What the patterns name: the blank, line ends, the apostrophe, and the letters of contractions,
/// one of which has another that folds to it.
const NAMED: &str = " \r\n'strevmldSTREVMLD\u{17F}";

fn all() -> impl Iterator<Item = char> {
    (0..=0x10_FFFF).filter_map(char::from_u32)
}

/// The first and the last code point of each kind.
fn representatives() -> Vec<char> {
    let mut kinds = BTreeMap::new();
    for code in all() {
        let kind = match NAMED.find(code) {
            Some(place) => (place, 0, 0),
            None => (usize::MAX, Classes::get().of(code.into()) as u8, code.len_utf8()),
        };
        kinds.entry(kind).or_insert((code, code)).1 = code;
    }
    let mut found: Vec<char> =
        kinds.into_values().flat_map(|(first, last)| [first, last]).collect();
    found.dedup();
    found
}

/// A text in which every run of `length` of these comes once: de Bruijn's sequence, made of
/// Lyndon words in their order (Fredricksen and Maiorana, 1978).
fn runs(of: &[char], length: usize) -> Vec<char> {
    let (mut text, mut word) = (Vec::new(), vec![0]);
    while !word.is_empty() {
        if length.is_multiple_of(word.len()) {
            text.extend(word.iter().map(|&i: &usize| of[i]));
        }
        let period = word.len();
        while word.len() < length {
            word.push(word[word.len() - period]);
        }
        while word.last() == Some(&(of.len() - 1)) {
            word.pop();
        }
        if let Some(last) = word.last_mut() {
            *last += 1;
        }
    }
    text.extend_from_within(..length - 1);
    text
}

/// Fails unless both sides cut the text alike, whatever the instructions.
fn compare(text: &str) {
    check(text.as_bytes());
    for pattern in PATTERNS {
        let regex = onig::Regex::new(pattern.regex().unwrap()).unwrap();
        let found = (&regex).find_matches(text).unwrap();
        let expected: Vec<usize> = found.into_iter().map(|((_, end), _)| end).collect();
        assert!(expected == pattern.ends(text.as_bytes()), "{pattern:?} {text:?}");
    }
}

fn compare_long(text: &[char], overlap: usize) {
    for start in (0..text.len()).step_by(1 << 12) {
        let end = text.len().min(start + (1 << 12) + overlap);
        compare(&text[start..end].iter().collect::<String>());
    }
}

/// Each code point next to each representative, on both sides.
fn compare_beside_all(codes: &[char]) {
    for codes in codes.chunks(1 << 12) {
        for kind in representatives() {
            compare(&codes.iter().flat_map(|&code| [kind, code]).chain([kind]).collect::<String>());
        }
    }
}

/// The same trained vocabulary by the engine and by the reference, with a pattern.
fn both(pattern: Pattern) -> [Any; 2] {
    let settings = Settings { vocab_size: 275, min_frequency: 2, threads: 1 };
    let mut trainer = Trainer::new(settings).unwrap();
    trainer.feed(&["the then there 'tis 's   \n\n 123 123 éé 中文中文 😀😀".repeat(3)]).unwrap();
    let mut file: Value = serde_json::from_str(&trainer.finish().unwrap().to_json()).unwrap();
    let level = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex});
    file["pre_tokenizer"] = match pattern {
        Pattern::Gpt2 => level(true),
        _ => json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern.regex()}, "behavior": "Isolated",
             "invert": false},
            level(false),
        ]}),
    };
    [true, false].map(|engine| {
        Any::from_json(file.to_string(), Reading { engine, strict: engine, parse_special: false })
            .unwrap()
    })
}

fn compare_ids(text: &[char], overlap: usize) {
    for pattern in PATTERNS {
        let [ours, theirs] = both(pattern);
        for start in (0..text.len()).step_by(1 << 10) {
            let end = text.len().min(start + (1 << 10) + overlap);
            let part: String = text[start..end].iter().collect();
            let expected = theirs.encode(&part, false).unwrap();
            assert!(expected == ours.encode(&part, false).unwrap(), "{pattern:?} {part:?}");
        }
    }
}

#[test]
fn kinds_are_few_and_runs_hold_each_once() {
    let kinds = representatives();
    assert!((40..60).contains(&kinds.len()), "{}", kinds.len());
    let text = runs(&kinds, 2);
    let pairs: std::collections::HashSet<&[char]> = text.windows(2).collect();
    assert_eq!(kinds.len().pow(2), pairs.len());
    assert_eq!(kinds.len().pow(2) + 1, text.len());
}

#[test]
fn every_code_point_is_cut_alike_among_what_lets_its_class_show() {
    for codes in all().collect::<Vec<_>>().chunks(1 << 12) {
        let show = |c| format!("a{c}b 1{c}2 !{c} '{c}t  {c}\n{c}'{c}\r\n");
        compare(&codes.iter().map(show).collect::<String>());
    }
}

#[test]
fn every_pair_of_kinds_alone_is_cut_alike() {
    let kinds = representatives();
    for &first in &kinds {
        for &second in &kinds {
            compare(&String::from_iter([first, second]));
        }
    }
}

#[test]
fn every_run_of_three_kinds_is_cut_alike() {
    compare_long(&runs(&representatives(), 3), 2);
}

#[test]
fn every_pair_of_kinds_gives_the_references_ids() {
    compare_ids(&runs(&representatives(), 2), 1);
}

#[test]
fn where_classes_change_code_points_are_cut_alike_beside_every_kind() {
    let ranges = [&LETTERS[..], &NUMBERS[..], &SPACES[..]].concat();
    let edges =
        ranges.iter().flat_map(|&(first, last)| [first.wrapping_sub(1), first, last, last + 1]);
    compare_beside_all(&edges.filter_map(char::from_u32).collect::<Vec<_>>());
}

#[test]
#[ignore = "minutes: all of it once for each change of the tables or the patterns"]
fn every_code_point_is_cut_alike_beside_every_kind() {
    compare_beside_all(&all().collect::<Vec<_>>());
}

#[test]
#[ignore = "minutes: all of it once for each change of the tables or the patterns"]
fn every_run_of_four_kinds_is_cut_alike() {
    compare_long(&runs(&representatives(), 4), 3);
}

#[test]
#[ignore = "minutes: all of it once for each change of the tables or the patterns"]
fn every_code_point_and_every_run_of_three_kinds_gives_the_references_ids() {
    let codes: Vec<char> = all().flat_map(|code| ['a', code, 'b', ' ', code]).collect();
    compare_ids(&codes, 0);
    compare_ids(&runs(&representatives(), 3), 2);
}
