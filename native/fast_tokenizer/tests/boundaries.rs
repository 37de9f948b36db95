//! The largest value of each entry that is read, and the first that is refused.

mod engine_common;

use engine_common::json;
use fast_tokenizer::{Any, Reading};
use serde_json::{Value, json};

fn file(changes: &[(&str, Value)]) -> String {
    let mut file: Value = serde_json::from_str(&json("gpt2")).unwrap();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        file.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    file.to_string()
}

/// Why a file with a changed entry is refused.
fn told(pointer: &str, value: Value) -> Option<String> {
    let read = Any::from_json(file(&[(pointer, value)]), Reading::default());
    read.err().map(|error| error.to_string())
}

/// Bytes as base 64 (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    let letters: Vec<char> =
        ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let bits: Vec<u8> = bytes.iter().flat_map(|b| (0..8).rev().map(move |i| b >> i & 1)).collect();
    bits.chunks(6)
        .map(|six| (0..6).fold(0, |n, i| n << 1 | six.get(i).copied().unwrap_or(0)))
        .map(|place| letters[usize::from(place)])
        .collect()
}

fn padding(strategy: Value, multiple: Value) -> Value {
    json!({"strategy": strategy, "direction": "Right", "pad_to_multiple_of": multiple,
           "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"})
}

fn cut(most: u64, stride: u64) -> Value {
    json!({"direction": "Right", "max_length": most, "strategy": "LongestFirst", "stride": stride})
}

fn split(pattern: Value) -> Value {
    json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false})
}

fn template(parts: usize, id: u64) -> Value {
    let part = json!({"Sequence": {"id": "A", "type_id": 0}});
    json!({"type": "TemplateProcessing", "single": vec![part; parts], "pair": [],
           "special_tokens": {"<pad>": {"id": "<pad>", "ids": [id], "tokens": ["<pad>"]}}})
}

fn map(length: usize, tree: u32, more: &[u8]) -> Value {
    let texts = [&b"ab\0"[..], &vec![b'x'; length], more].concat();
    let bytes = [&tree.to_le_bytes()[..], &vec![0; tree as usize], &texts].concat();
    json!({"type": "Precompiled", "precompiled_charsmap": base64(&bytes)})
}

#[test]
fn the_largest_is_read_and_one_more_is_refused_by_name() {
    let words = |most: u64| {
        json!({"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a",
               "continuing_subword_prefix": "", "max_input_chars_per_word": most})
    };
    let pieces = |length| json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0], ["a".repeat(length), 0.0]]});
    let steps = |count: usize| json!({"type": "Sequence", "pretokenizers": vec![split(json!({"Regex": "a"})); count]});
    let fixed = |length: u64| json!({"type": "FixedLength", "length": length});
    let known: Value = serde_json::from_str(&json("gpt2")).unwrap();
    let added = known["added_tokens"].as_array().unwrap().len();
    let ids = (known["model"]["vocab"].as_object().unwrap().len() + added) as u64 * 2 + (1 << 16);
    let longest = |bytes: usize| json!("é".repeat(bytes / 2) + &"a".repeat(bytes % 2));
    for (pointer, last, beyond, name) in [
        (
            "/padding",
            padding(json!({"Fixed": 1 << 20}), Value::Null),
            padding(json!({"Fixed": (1 << 20) + 1}), Value::Null),
            "padding.strategy.Fixed: expected 0 to 1048576, got 1048577",
        ),
        (
            "/padding",
            padding(json!("BatchLongest"), json!(1 << 20)),
            padding(json!("BatchLongest"), json!((1 << 20) + 1)),
            "padding.pad_to_multiple_of: expected 1 to 1048576, got 1048577",
        ),
        (
            "/padding",
            padding(json!("BatchLongest"), json!(1)),
            padding(json!("BatchLongest"), json!(0)),
            "padding.pad_to_multiple_of: expected 1 to 1048576, got 0",
        ),
        ("/truncation", cut(8, 7), cut(8, 8), "truncation.stride: expected 0 to 7, got 8"),
        ("/truncation", cut(0, 0), cut(0, 1), "truncation.stride: expected 0 to 0, got 1"),
        (
            "/post_processor",
            template(64, 0),
            template(65, 0),
            "post_processor.single: expected at most 64 parts, got 65",
        ),
        (
            "/post_processor",
            template(1, 0),
            template(1, ids),
            "post_processor.special_tokens.<pad>.ids: ",
        ),
        ("/pre_tokenizer", steps(64), steps(65), "pre_tokenizer.pretokenizers[64].pattern.Regex"),
        (
            "/pre_tokenizer",
            split(json!({"Regex": "a".repeat(1 << 14)})),
            split(json!({"Regex": "a".repeat((1 << 14) + 1)})),
            "pre_tokenizer.pattern.Regex: expected at most 16384 bytes, got 16385",
        ),
        (
            "/pre_tokenizer",
            split(json!({"String": longest(1 << 14)})),
            split(json!({"String": longest((1 << 14) + 1)})),
            "pre_tokenizer.pattern.String: expected at most 16384 bytes, got 16385",
        ),
        (
            "/pre_tokenizer",
            fixed(1),
            fixed(0),
            "pre_tokenizer.length: expected 1 to 1048576, got 0",
        ),
        (
            "/pre_tokenizer",
            fixed(1 << 20),
            fixed((1 << 20) + 1),
            "pre_tokenizer.length: expected 1 to 1048576, got 1048577",
        ),
        (
            "/model",
            words(512),
            words(513),
            "model.max_input_chars_per_word: expected 0 to 512, got 513",
        ),
        (
            "/model",
            pieces(1024),
            pieces(1025),
            "model.vocab[1]: expected at most 1024 characters, got 1025",
        ),
        ("/model/vocab/a", json!(ids - 1), json!(ids), "model.vocab[\"a\"]: "),
        (
            "/normalizer",
            map(64, 0, b""),
            map(65, 0, b""),
            "normalizer.precompiled_charsmap: expected a character to become at most 64 bytes, got 65",
        ),
        (
            "/normalizer",
            map(3, 4, &[b"\0"[..].to_vec(), vec![b'y'; 64]].concat()),
            map(3, 4, &[b"\0"[..].to_vec(), vec![b'y'; 65], b"\0z".to_vec()].concat()),
            "normalizer.precompiled_charsmap: expected a character to become at most 64 bytes, got 65",
        ),
    ] {
        let found = told(pointer, last).unwrap_or_default();
        let entry = name.split(':').next().unwrap();
        assert!(!found.starts_with(entry), "{pointer}: {found}");
        let found = told(pointer, beyond).unwrap_or_default();
        assert!(found.starts_with(name), "{pointer}: {found}");
    }
}

/// A text may become 32 times as long and 1024 bytes longer, by one step.
#[test]
fn texts_and_tokens_grow_as_far_as_is_said() {
    let replace = |length: usize| json!({"type": "Replace", "pattern": {"String": "x"}, "content": "y".repeat(length)});
    let read = |key: &str, length: usize| {
        Any::from_json(file(&[(key, replace(length))]), Reading::default()).unwrap()
    };
    for (count, last) in [(1, 1055), (10, 133)] {
        let text = "x".repeat(count);
        assert!(read("/normalizer", last).encode(&text, false).is_ok(), "{count}");
        let error = read("/normalizer", last + 1).encode(&text, false).unwrap_err().to_string();
        let size = count + count * (last + 1);
        let expected =
            format!("normalizer.pattern.String: makes {count} bytes of text {size} bytes");
        assert!(error.starts_with(&expected), "{error}");
    }
    let plain = Any::from_json(json("gpt2"), Reading::default()).unwrap();
    let id = plain.encode("x", false).unwrap()[0];
    assert_eq!("y".repeat(1055), read("/decoder", 1055).decode(&[id], false).unwrap());
    assert!(read("/decoder", 1056).decode(&[id], false).is_err());
}
