//! Tokenizers of any file: what the engine adds to ids, and what hostile files can do.

mod engine_common;

use engine_common::{Random, json, nasty};
use fast_tokenizer::{Any, Backend};
use serde_json::{Value, json};

fn file(kind: &str, changes: &[(&str, Value)]) -> String {
    let mut file: Value = serde_json::from_str(&json(kind)).unwrap();
    for (key, value) in changes {
        file[*key] = value.clone();
    }
    file.to_string()
}

fn both(json: &str) -> [Any; 2] {
    [true, false].map(|engine| Any::from_json(json.to_owned(), engine, engine).unwrap())
}

fn split(pattern: &str) -> Value {
    let pattern = json!({"Regex": pattern});
    json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false})
}

#[test]
fn truncation_is_the_references() {
    let template = json!({
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<mask>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "<pad>", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            "<mask>": {"id": "<mask>", "ids": [1], "tokens": ["<mask>"]},
            "<pad>": {"id": "<pad>", "ids": [0], "tokens": ["<pad>"]},
        },
    });
    let mut random = Random(11);
    for (side, most) in [("Left", 5), ("Right", 5), ("Right", 2), ("Left", 40)] {
        let truncation = json!({
            "direction": side, "max_length": most, "strategy": "LongestFirst", "stride": 1,
        });
        let changes = [("truncation", truncation), ("post_processor", template.clone())];
        let [ours, theirs] = both(&file("gpt2", &changes));
        let texts: Vec<String> = (0..60).map(|length| nasty(&mut random, length)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for around in [false, true] {
            let batch = ours.encode_batch(&texts, around, 2).unwrap();
            assert_eq!(theirs.encode_batch(&texts, around, 2).unwrap(), batch);
            for (row, text) in batch.rows().zip(&texts) {
                assert_eq!(row, ours.encode(text, around).unwrap(), "{side} {most} {text:?}");
            }
        }
        for text in texts {
            let expected = theirs.encode_with_offsets(text, true).unwrap().0;
            assert_eq!(expected, ours.encode_with_offsets(text, true).unwrap().0);
        }
    }
}

#[test]
fn streams_and_offsets_of_both_backends_agree() {
    let [ours, theirs] = both(&json("cl100k"));
    let text = "the 香蕉 thin\u{301} 😀<mask> é";
    for tokenizer in [&ours, &theirs] {
        let (mut stream, mut told) = (tokenizer.stream(), String::new());
        for id in tokenizer.encode(text, false).unwrap() {
            let part = stream.push(tokenizer, id).unwrap();
            assert!(!part.contains('\u{FFFD}'), "{part:?}");
            told += &part;
        }
        assert_eq!(text, told + &stream.finish(tokenizer).unwrap());
        let mut stream = tokenizer.stream();
        assert_eq!("", stream.push(tokenizer, tokenizer.encode("ü", false).unwrap()[0]).unwrap());
        assert_eq!("\u{FFFD}", stream.finish(tokenizer).unwrap());
    }
    let ranges = |tokenizer: &Any| tokenizer.encode_with_offsets(text, true).unwrap();
    assert_eq!(ranges(&theirs), ranges(&ours));
    assert!(ours.stream().push(&theirs, 1).is_err());
}

#[test]
fn files_are_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    let text = "the text 香蕉 <mask>\n".repeat(100_000);
    std::fs::write(&path, &text).unwrap();
    for tokenizer in both(&json("gpt2")) {
        let expected = tokenizer.encode(&text[..2100], false).unwrap();
        assert_eq!(expected, tokenizer.encode_file(&path, 2).unwrap()[..expected.len()]);
        assert!(tokenizer.encode_file(folder.path(), 1).is_err());
        assert!(tokenizer.encode_file(&path.join("none"), 1).is_err());
        std::fs::write(folder.path().join("empty"), "").unwrap();
        assert!(tokenizer.encode_file(&folder.path().join("empty"), 1).unwrap().is_empty());
    }
    std::fs::write(&path, b"a\xFF").unwrap();
    let [ours, theirs] = both(&json("gpt2"));
    assert_eq!(2, ours.encode_file(&path, 1).unwrap().len());
    assert!(theirs.encode_file(&path, 1).unwrap_err().to_string().contains("utf-8"));
}

#[test]
fn patterns_that_backtrack_are_refused_and_named() {
    let hostile = [
        r"(a+)+$",
        r"(a|a)*b",
        r"(a|aa)+$",
        r"(\w+\s?)*!",
        r"(.*)*x",
        r"(é+)*ü",
        r"(ab|a|b)*c",
        r"([0-9]+)*#",
        r"(\p{L}+)+\d",
    ];
    for pattern in hostile {
        for (key, value) in [
            ("pre_tokenizer", split(pattern)),
            (
                "normalizer",
                json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": ""}),
            ),
            ("decoder", json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": ""})),
        ] {
            let file = file("gpt2", &[(key, value)]);
            let error = Any::from_json(file, true, false).expect_err(pattern).to_string();
            assert!(error.starts_with(&format!("{key}.pattern.Regex: backtracks")), "{error}");
        }
    }
    let broken = file("gpt2", &[("pre_tokenizer", split("("))]);
    let error = Any::from_json(broken, true, false).unwrap_err().to_string();
    assert!(error.starts_with("pre_tokenizer.pattern.Regex: "), "{error}");
}

#[test]
fn patterns_that_backtrack_on_long_texts_only_are_stopped() {
    // Its unit is longer than those that are tried when it is loaded.
    let json = file("gpt2", &[("pre_tokenizer", split("(?:wxyz|wxyz)+!"))]);
    let tokenizer = Any::from_json(json, true, false).unwrap();
    assert!(tokenizer.encode("wxyz!wxyz", false).is_ok());
    let error = tokenizer.encode(&"wxyz".repeat(60), false).unwrap_err().to_string();
    assert!(error.starts_with("pre_tokenizer.pattern.Regex: "), "{error}");
    assert!(tokenizer.encode_batch(&["a", &"wxyz".repeat(60)], false, 2).is_err());
}

#[test]
fn published_patterns_are_not_refused() {
    let patterns = [
        // o200k, DeepSeek-V3, BLOOM, GPT-NeoX-like punctuation, StarCoder's digits.
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
        r" ?[^(\s|[.,!?…。，、।۔،])]+",
        r"\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
    ];
    for pattern in patterns {
        let file = file("gpt2", &[("pre_tokenizer", split(pattern))]);
        let tokenizer = Any::from_json(file, true, false).unwrap();
        assert!(matches!(tokenizer.backend(), Backend::Reference(..)));
        let text = " \t\n".repeat(20_000) + &"aB".repeat(20_000) + &"中".repeat(20_000);
        tokenizer.encode(&text, false).unwrap();
    }
}

#[test]
fn hostile_files_are_errors() {
    let hostile = [
        "[".repeat(1 << 20),
        file("gpt2", &[("added_tokens", json!([{"id": u64::MAX}]))]),
        file("gpt2", &[("truncation", json!({"max_length": -1}))]),
        file("gpt2", &[("post_processor", json!({"type": "TemplateProcessing", "single": "$Z"}))]),
        file("gpt2", &[("pre_tokenizer", split(&"(a{1000}){1000}".repeat(2)))]),
        file("gpt2", &[("pre_tokenizer", split(&"(".repeat(1 << 15)))]),
        r#"{"model": {"type": "WordPiece", "vocab": {}, "unk_token": "?"}}"#.to_owned(),
        r#"{"model": {"type": "Unigram", "unk_id": 7, "vocab": [["a", 0.0]]}}"#.to_owned(),
    ];
    for json in hostile {
        let shown: String = json.chars().take(60).collect();
        for engine in [true, false] {
            // What loads must still be no worse than an error.
            if let Ok(tokenizer) = Any::from_json(json.clone(), engine, false) {
                let encoded = tokenizer.encode("a text", false);
                assert!(encoded.is_err() || tokenizer.vocab_size() < 1 << 30, "{shown}");
            }
        }
    }
}
