//! Tokenizers of any file: what the engine adds to ids, and what hostile files can do.

mod engine_common;

use engine_common::{Random, json, nasty};
use fast_tokenizer::Any;
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
