//! Tokenizers of any file: what the engine adds to ids, and what hostile files can do.

mod engine_common;

use engine_common::{ALL, Random, json, nasty};
use fast_tokenizer::{Any, Reading};
use serde_json::{Value, json};

fn file(kind: &str, changes: &[(&str, Value)]) -> String {
    let mut file: Value = serde_json::from_str(&json(kind)).unwrap();
    for (key, value) in changes {
        file[*key] = value.clone();
    }
    file.to_string()
}

fn both(json: &str) -> [Any; 2] {
    [true, false].map(|engine| {
        Any::from_json(json.to_owned(), Reading { engine, strict: engine, parse_special: false })
            .unwrap()
    })
}

/// Fault T1.
#[test]
fn what_a_file_says_of_batches_is_not_applied() {
    let part = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let template = json!({
        "type": "TemplateProcessing",
        "single": [part("<mask>"), {"Sequence": {"id": "A", "type_id": 0}}, part("<pad>")],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            "<mask>": {"id": "<mask>", "ids": [1], "tokens": ["<mask>"]},
            "<pad>": {"id": "<pad>", "ids": [0], "tokens": ["<pad>"]},
        },
    });
    let template = ("post_processor", template);
    let cut = |side: &str, most: u64, strategy: &str| json!({"direction": side, "max_length": most, "strategy": strategy, "stride": 0});
    let padding = |strategy: Value| {
        json!({"strategy": strategy, "direction": "Left", "pad_to_multiple_of": 16, "pad_id": 0,
               "pad_type_id": 0, "pad_token": "<pad>"})
    };
    let mut random = Random(11);
    let texts: Vec<String> = (0..60).map(|length| nasty(&mut random, length * 3)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, texts.concat()).unwrap();
    for kind in ["gpt2", "normal"] {
        let normal = ("normalizer", json!({"type": "NFC"}));
        let fixed =
            if kind == "gpt2" { vec![template.clone()] } else { vec![template.clone(), normal] };
        let reference = Reading { engine: false, ..Reading::default() };
        let plain = Any::from_json(file("gpt2", &fixed), reference).unwrap();
        for (cut, padding) in [
            (cut("Right", 4, "LongestFirst"), padding(json!({"Fixed": 8}))),
            (cut("Left", 2, "OnlyFirst"), Value::Null),
            (cut("Right", 1, "OnlySecond"), padding(json!("BatchLongest"))),
            (Value::Null, padding(json!({"Fixed": 8}))),
        ] {
            let batches = [("truncation", cut), ("padding", padding)];
            let json = file("gpt2", &[fixed.clone(), batches.to_vec()].concat());
            for engine in [kind == "gpt2", false] {
                let reading = Reading { engine, strict: engine, ..Reading::default() };
                let served = Any::from_json(json.clone(), reading).unwrap();
                assert_eq!((false, true), (plain.batches(), served.batches()));
                for around in [false, true] {
                    let batch = served.encode_batch(&texts, around, 2).unwrap();
                    assert_eq!(plain.encode_batch(&texts, around, 2).unwrap(), batch);
                    for (row, text) in batch.rows().zip(&texts) {
                        assert_eq!(row, served.encode(text, around).unwrap(), "{text:?}");
                    }
                }
                for text in &texts {
                    let expected = plain.encode_with_offsets(text, true).unwrap();
                    assert_eq!(expected, served.encode_with_offsets(text, true).unwrap());
                }
                let expected = plain.encode_file(&path, 2).unwrap();
                assert_eq!(expected, served.encode_file(&path, 2).unwrap());
            }
        }
    }
}

/// Fault T6.
#[test]
fn names_of_special_tokens_are_text_unless_asked_for() {
    for kind in ALL {
        let json = json(kind);
        for parse_special in [false, true] {
            let [ours, theirs] = [true, false].map(|engine| {
                let reading = Reading { engine, strict: engine, parse_special };
                Any::from_json(json.clone(), reading).unwrap()
            });
            let mut reference: tokenizers::Tokenizer = json.parse().unwrap();
            reference.set_encode_special_tokens(!parse_special);
            let special: Vec<u32> = ours.special().values().copied().collect();
            assert_eq!(2, special.len());
            let mut random = Random(23);
            for length in 0..300 {
                let text = nasty(&mut random, length % 60);
                let expected = reference.encode_fast(text.as_str(), false).unwrap();
                let ids = ours.encode(&text, false).unwrap();
                let named = text.contains("<mask>") || text.contains("<pad>");
                // The crate's own model goes on to merge what spells a name.
                if parse_special || !named {
                    assert_eq!(expected.get_ids(), ids, "{kind}: {text:?}");
                }
                assert_eq!(ids, theirs.encode(&text, false).unwrap(), "{kind}: {text:?}");
                assert_eq!(ids, ours.encode_batch(&[&text], false, 1).unwrap().ids);
                assert_eq!(ids, ours.encode_with_offsets(&text, true).unwrap().0);
                assert_eq!(ids, theirs.encode_with_offsets(&text, true).unwrap().0);
                let found = ids.iter().any(|id| special.contains(id));
                assert_eq!(parse_special && named, found, "{kind}: {text:?}");
            }
        }
    }
}

fn special(id: usize, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": true})
}

/// Fault T6: a model comes to what its vocabulary holds, whoever looks for names.
#[test]
fn no_model_comes_to_a_special_token_by_itself() {
    let words = ["<unk>", "<s>", "a", "b", "ab", "<", "s", ">", " ", "##s", "##>", "##b"];
    let vocab: Value = words
        .iter()
        .zip(0..)
        .map(|(&word, id)| (word.to_owned(), json!(id)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let pieces: Vec<Value> = words.iter().map(|word| json!([word, -1.0])).collect();
    let models = [
        json!({"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}),
        json!({"type": "WordPiece", "vocab": vocab, "unk_token": "<unk>",
               "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}),
        json!({"type": "Unigram", "vocab": pieces, "unk_id": 0}),
        json!({"type": "BPE", "vocab": {"<unk>": 0, "<s>": 1, "<": 2, "s": 3, ">": 4, "s>": 5,
               "a": 6, "b": 7, "ab": 8}, "merges": [["s", ">"], ["<", "s>"], ["a", "b"]],
               "unk_token": "<unk>"}),
        json!({"type": "BPE", "vocab": {"<unk>": 0, "<s>": 1, "<": 2, "s": 3, ">": 4},
               "merges": [], "unk_token": "<unk>", "ignore_merges": true}),
    ];
    for model in models {
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
            "added_tokens": [special(0, "<unk>"), special(1, "<s>")],
            "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null,
            "decoder": null, "model": model,
        });
        let read = |parse_special| {
            let reading = Reading { parse_special, ..Reading::default() };
            Any::from_json(file.to_string(), reading).unwrap()
        };
        let (text, parsed) = (read(false), read(true));
        for (name, id) in [("<s>", 1), ("<unk>", 0)] {
            assert_eq!(Some(&id), text.special().get(name));
            assert_eq!(vec![id], parsed.encode(name, false).unwrap(), "{model}");
            assert_eq!(name, text.decode(&[id], false).unwrap());
            assert_eq!(id, u32::from(text.token(1) == b"<s>" && id == 1));
        }
        for input in ["<s>", "a <s> ab", "a<s>b", "<s><s>", "\u{10FFFF}a"] {
            let ids = text.encode(input, false).unwrap();
            assert!(!ids.contains(&1), "{model} {input}: {ids:?}");
        }
        assert_eq!(text.encode("ab a", false).unwrap(), parsed.encode("ab a", false).unwrap());
        // Nor by what stands for it inside.
        let forged = text.encode("\u{10FFFF}<s>\u{10FFFF}", false);
        assert!(forged.is_err() || !forged.unwrap().contains(&1), "{model}");
    }
}

/// Fault T6: merges and whole pieces of the engine.
#[test]
fn the_engine_comes_to_no_special_token_by_merges_or_as_a_whole() {
    for kind in ["gpt2", "ignore"] {
        let mut file: Value = serde_json::from_str(&json(kind)).unwrap();
        let id = file["model"]["vocab"]["the"].as_u64().unwrap() as usize;
        file["added_tokens"] = json!([special(id, "the")]);
        let read = |engine, parse_special| {
            let reading = Reading { engine, strict: engine, parse_special };
            Any::from_json(file.to_string(), reading).unwrap()
        };
        for text in ["the", "the then the", "thethe"] {
            let [ours, theirs] = [true, false].map(|e| read(e, false).encode(text, false).unwrap());
            assert_eq!(theirs, ours, "{kind}");
            assert!(!ours.contains(&(id as u32)), "{kind} {text}: {ours:?}");
            assert_eq!(text, read(true, false).decode(&ours, false).unwrap());
            assert!(read(true, true).encode(text, false).unwrap().contains(&(id as u32)));
        }
        let id = file["model"]["vocab"]["t"].as_u64().unwrap() as usize;
        file["added_tokens"] = json!([special(id, "t")]);
        let error = Any::from_json(file.to_string(), Reading::default()).unwrap_err().to_string();
        assert!(error.contains("added_tokens: \"t\" is special"), "{error}");
        let reading = Reading { parse_special: true, ..Reading::default() };
        assert_eq!(
            id as u32,
            Any::from_json(file.to_string(), reading).unwrap().encode("t", false).unwrap()[0]
        );
    }
}

#[test]
fn streams_and_offsets_of_both_backends_agree() {
    let [ours, theirs] = both(&json("cl100k"));
    let text = "the 香蕉 thin\u{301} 😀<mask> é";
    for tokenizer in [&ours, &theirs] {
        let (mut stream, mut decoded) = (tokenizer.stream(), String::new());
        for id in tokenizer.encode(text, false).unwrap() {
            let part = stream.push(tokenizer, id).unwrap();
            assert!(!part.contains('\u{FFFD}'), "{part:?}");
            decoded += &part;
        }
        assert_eq!(text, decoded + &stream.finish(tokenizer).unwrap());
        let mut stream = tokenizer.stream();
        assert_eq!("", stream.push(tokenizer, tokenizer.encode("ü", false).unwrap()[0]).unwrap());
        assert_eq!("\u{FFFD}", stream.finish(tokenizer).unwrap());
    }
    let mut random = Random(31);
    for kind in ALL {
        let [ours, theirs] = both(&json(kind));
        for length in 0..60 {
            let text = nasty(&mut random, length);
            let ranges = |one: &Any| one.encode_with_offsets(&text, true).unwrap();
            let ((expected, mut there), (ids, here)) = (ranges(&theirs), ranges(&ours));
            for (there, here) in there.iter_mut().zip(&here).filter(|pair| pair.1.is_empty()) {
                // A blank that was put in front belongs to no character; the crate says the next.
                assert_eq!((kind, here.start..here.start + 1), ("prefix", there.clone()));
                *there = here.clone();
            }
            assert_eq!((expected, there), (ids, here), "{kind}: {text:?}");
            // In bytes the engine says more: where in a character a token lies.
            let mut end = 0;
            for range in ours.encode_with_offsets(&text, false).unwrap().1 {
                assert_eq!(end, range.start, "{kind}: {text:?}");
                end = range.end;
            }
            assert_eq!(text.len(), end);
        }
    }
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
