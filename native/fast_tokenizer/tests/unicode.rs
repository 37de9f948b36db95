//! The class tables against onig, for every code point.

use fast_tokenizer::engine::Pattern;
use tokenizers::SplitDelimiterBehavior;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// Ends of pieces by the reference.
fn reference(regex: &str, text: &str) -> Vec<usize> {
    let pattern = SplitPattern::Regex(regex.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).unwrap();
    let mut pieces = PreTokenizedString::from(text);
    split.pre_tokenize(&mut pieces).unwrap();
    let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
    splits.into_iter().map(|(_, (_, end), _)| end).collect()
}

fn compare(pattern: Pattern) {
    let codes: Vec<char> = (0..=0x10_FFFF).filter_map(char::from_u32).collect();
    for codes in codes.chunks(1 << 12) {
        let mut text = String::new();
        for code in codes {
            text += &format!("a{code}b 1{code}2 !{code} '{code}t  {code}\n{code}'{code}\r\n");
        }
        let expected = reference(pattern.regex().unwrap(), &text);
        assert!(expected == pattern.ends(text.as_bytes()), "{pattern:?} from {:?}", codes[0]);
    }
}

#[test]
fn gpt2_pieces_are_the_references_for_every_code_point() {
    compare(Pattern::Gpt2);
}

#[test]
fn cl100k_pieces_are_the_references_for_every_code_point() {
    compare(Pattern::Cl100k { digits: 3 });
}
