//! A file that is not exactly what was saved is an error that names what is wrong in it.

mod common;

use std::path::Path;

use common::{CORPUS, Random, train};
use fast_tokenizer::{Bpe, Error, Result};
use serde_json::{Value, json};

fn refusal(json: &str) -> String {
    Bpe::from_json(json).expect_err("must be refused").to_string()
}

/// The message after one entry was set to something else.
fn after(pointer: &str, value: Value) -> String {
    let json = train(&CORPUS, 300, 1).expect("enough text").to_json();
    let mut file: Value = serde_json::from_str(&json).expect("our own file");
    *file.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    refusal(&file.to_string())
}

#[test]
fn changed_entries_are_named() {
    let regex = json!({"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"});
    let cases = [
        ("/pre_tokenizer", regex, "pre_tokenizer.pattern: not an entry"),
        ("/pre_tokenizer/use_regex", json!(false), "pre_tokenizer.use_regex: expected true, got f"),
        (
            "/normalizer",
            json!({"type": "NFC"}),
            "normalizer: expected null, got {\"type\":\"NFC\"}",
        ),
        ("/decoder", json!(null), "decoder: expected {"),
        ("/added_tokens/0/id", json!(7), "added_tokens[0].id: expected 0, got 7"),
        ("/added_tokens", json!([]), "added_tokens: expected [{"),
        ("/version", json!("x".repeat(1 << 20)), "version: expected \"1.0\", got \"xxx"),
        ("/model", json!([]), "model.vocab: missing"),
        ("/model/dropout", json!(0.5), "model.dropout: expected null, got 0.5"),
        ("/model/vocab", json!({}), "model.vocab: expected 260 to 524288 tokens, got 0"),
        ("/model/vocab", json!([1]), "model.vocab: expected an object, got [1]"),
        (
            "/model/vocab/a",
            json!(-1),
            "model.vocab: expected ids 0 to 299, each once, got -1 for \"a\"",
        ),
        (
            "/model/vocab/a",
            json!(1_000_000),
            "expected ids 0 to 299, each once, got 1000000 for \"a\"",
        ),
        ("/model/vocab/a", json!(5), "have the same id 5"),
        ("/model/vocab/a", json!("x"), "expected ids 0 to 299, each once, got \"x\" for \"a\""),
        ("/model/merges", json!({}), "model.merges: expected an array"),
        ("/model/merges/0", json!("a b"), "model.merges[0]: expected [left, right], got \"a b\""),
        ("/model/merges/3", json!(["a", "zz"]), "model.merges[3]: \"zz\" is not an ordinary"),
        ("/model/merges/3", json!(["z", "z"]), "model.merges[3]: \"zz\" is not an ordinary"),
        ("/model/merges/3", json!(["<mask>", "a"]), "model.merges[3]: \"<mask>\" is not an ord"),
    ];
    for (pointer, value, expected) in cases {
        let message = after(pointer, value);

        assert!(message.contains(expected), "{pointer}: {message}");
        assert!(message.len() < 300, "{pointer}: {} characters", message.len());
    }
}

#[test]
fn vocabularies_that_lack_a_byte_or_rename_a_token_are_refused() {
    let json = train(&[], 260, 1).expect("no text is needed").to_json();
    let renamed = |from: &str, to: &str| refusal(&json.replacen(from, to, 1));

    assert!(
        renamed("\"a\":", "\"aa\":")
            .contains("expected a token for each of the 256 bytes, got 255")
    );
    assert!(renamed("\"a\":", "\"\\u4e00\":").contains("\"一\" is not in the byte alphabet"));
    assert!(renamed("\"a\":", "\"\":").contains("\"\" is not in the byte alphabet"));
    assert!(
        renamed("\"<pad>\":1", "\"<PAD>\":1")
            .contains("expected \"<pad>\" as token 1, got \"<PAD>\"")
    );
    assert!(renamed("{", "{\"more\":1,").contains("more: not an entry"));
    assert!(renamed("\"version\":\"1.0\",", "").contains("version: missing"));
}

#[test]
fn damaged_text_is_an_error_and_never_a_panic() -> Result<()> {
    let json = train(&CORPUS, 300, 1)?.to_json();
    let mut random = Random(11);
    for end in (0..json.len()).step_by(97).filter(|&end| json.is_char_boundary(end)) {
        assert!(matches!(Bpe::from_json(&json[..end]), Err(Error::Json(_))), "cut at {end}");
    }
    assert!(refusal(&"[".repeat(1 << 20)).contains("recursion limit"));
    for _ in 0..500 {
        let mut chars: Vec<char> = json.chars().collect();
        let place = random.below(chars.len());
        chars[place] = ['0', '"', '}', ',', 'a', '\u{120}'][random.below(6)];
        let text: String = chars.into_iter().collect();
        if let Ok(bpe) = Bpe::from_json(&text) {
            assert_eq!("The fox", bpe.decode(&bpe.encode("The fox")?)?); // another, but whole
        }
    }
    Ok(())
}

#[test]
fn files_that_cannot_be_are_named() {
    let folder = std::env::temp_dir();
    let missing = folder.join("no-such-folder/tokenizer.json");
    let message = |path: &Path| Bpe::load(path).expect_err("must be refused").to_string();

    assert!(message(&missing).contains("no-such-folder/tokenizer.json: No such file"));
    assert!(message(&folder).contains("expected a regular file"));
    let bpe = train(&[], 260, 1).expect("no text is needed");
    assert!(matches!(bpe.save(&missing), Err(Error::Io { path, .. }) if path == missing));
    // Fault T8 of the changes that no test noticed: nothing of what is too large is read.
    let folder = tempfile::tempdir().expect("a folder");
    let large = folder.path().join("large");
    let file = std::fs::File::create(&large).expect("a file");
    file.set_len((1 << 26) + 1).expect("a hole");
    assert!(message(&large).contains("large: expected a regular file of at most 67108864 bytes"));
}

#[test]
fn ids_outside_the_vocabulary_are_errors() -> Result<()> {
    let bpe = train(&[], 260, 1)?;
    for id in [-1, 260, i32::MIN, i32::MAX] {
        let message = bpe.decode(&[id]).expect_err("must be refused").to_string();

        assert_eq!(format!("id {id} is not in the vocabulary; expected 0 to 259"), message);
    }
    Ok(())
}
