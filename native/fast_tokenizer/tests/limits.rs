//! What hostile files ask for is refused by name, and what takes long ends.

mod engine_common;

use engine_common::{Random, json, nasty};
use fast_tokenizer::{Any, Backend, Reading};
use serde_json::{Value, json};

fn file(kind: &str, changes: &[(&str, Value)]) -> String {
    let mut file: Value = serde_json::from_str(&json(kind)).unwrap();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match file.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            object => object[key] = value.clone(),
        }
    }
    file.to_string()
}

fn split(pattern: &str) -> Value {
    let pattern = json!({"Regex": pattern});
    json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false})
}

fn replace(pattern: &Value, content: &str) -> Value {
    json!({"type": "Replace", "pattern": pattern, "content": content})
}

fn template(single: Value, id: u64) -> Value {
    let special = json!({"<pad>": {"id": "<pad>", "ids": [id], "tokens": ["<pad>"]}});
    json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": special})
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
            ("normalizer", replace(&json!({"Regex": pattern}), "")),
            ("decoder", replace(&json!({"Regex": pattern}), "")),
        ] {
            let file = file("gpt2", &[(&format!("/{key}"), value)]);
            let error = Any::from_json(file, Reading::default()).expect_err(pattern).to_string();
            let expected = format!("{key}.pattern.Regex: expected a pattern without nested");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
    let broken = file("gpt2", &[("/pre_tokenizer", split("("))]);
    let error = Any::from_json(broken, Reading::default()).unwrap_err().to_string();
    assert!(error.starts_with("pre_tokenizer.pattern.Regex: "), "{error}");
}

#[test]
fn patterns_that_backtrack_on_long_texts_only_are_stopped() {
    // Its unit is longer than those that are tried when it is loaded.
    let json = file("gpt2", &[("/pre_tokenizer", split("(?:wxyz|wxyz)+!"))]);
    let tokenizer = Any::from_json(json, Reading::default()).unwrap();
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
        let file = file("gpt2", &[("/pre_tokenizer", split(pattern))]);
        let tokenizer = Any::from_json(file, Reading::default()).unwrap();
        assert!(matches!(tokenizer.backend(), Backend::Reference(..)));
        let text = " \t\n".repeat(20_000) + &"aB".repeat(20_000) + &"中".repeat(20_000);
        tokenizer.encode(&text, false).unwrap();
    }
}

#[test]
fn many_searches_that_backtrack_are_stopped_too() {
    // Each search ends soon enough; a megabyte holds twenty thousand of them.
    let pattern = json!({"Regex": r"(?:wxyz|wxyz)+!|\."});
    let text = ("wxyz".repeat(12) + ".").repeat(20_000);
    for (key, step) in [
        ("pre_tokenizer", split(r"(?:wxyz|wxyz)+!|\.")),
        ("normalizer", replace(&pattern, "")),
        ("normalizer", json!({"type": "Sequence", "normalizers": [replace(&pattern, "")]})),
    ] {
        let json = file("gpt2", &[(&format!("/{key}"), step)]);
        let tokenizer = Any::from_json(json, Reading::default()).unwrap();
        assert!(tokenizer.encode(&text[..490], false).is_ok());
        let error = tokenizer.encode(&text, false).map(drop).unwrap_err().to_string();
        assert!(error.starts_with(key) && error.contains("pattern.Regex: backtracks"), "{error}");
        assert!(tokenizer.encode(&text[..490], false).is_ok());
    }
}

#[test]
fn texts_do_not_grow_without_bound() {
    for step in [
        replace(&json!({"Regex": "[a-z]"}), &"x".repeat(100)),
        replace(&json!({"String": "a"}), &"x".repeat(100)),
    ] {
        let kind = step["pattern"].as_object().unwrap().keys().next().unwrap().clone();
        let json = file("gpt2", &[("/normalizer", step.clone())]);
        let tokenizer = Any::from_json(json, Reading::default()).unwrap();
        let text = "a".repeat(1 << 16);
        let error = tokenizer.encode(&text, false).map(drop).unwrap_err().to_string();
        assert!(error.starts_with(&format!("normalizer.pattern.{kind}: makes 65536 ")), "{error}");
        let [ids, ..] = tokenizer.encode("ab", false).unwrap()[..] else { panic!("a token") };
        let json = file("gpt2", &[("/decoder", step)]);
        let tokenizer = Any::from_json(json, Reading::default()).unwrap();
        assert!(tokenizer.decode(&[ids], false).is_ok());
    }
}

#[test]
fn steps_are_the_crates() {
    let bounded = [
        ("/pre_tokenizer", split(r"\p{N}{1,3}| ?\p{L}+")),
        (
            "/pre_tokenizer",
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"String": "the"}, "behavior": "MergedWithNext",
                 "invert": false},
                {"type": "Split", "pattern": {"Regex": r"\w+|\s"}, "behavior": "Removed",
                 "invert": true},
                {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
             "use_regex": true},
            ]}),
        ),
        (
            "/normalizer",
            json!({"type": "Sequence", "normalizers": [
                {"type": "NFD"}, replace(&json!({"Regex": "\\p{M}|a+"}), "é"),
                replace(&json!({"String": "."}), ""), {"type": "Lowercase"},
            ]}),
        ),
        (
            "/decoder",
            json!({"type": "Sequence", "decoders": [
                replace(&json!({"Regex": "Ġ?t"}), " T"), replace(&json!({"String": "!"}), "."),
                {"type": "Fuse"},
            ]}),
        ),
    ];
    for change in bounded {
        let json = file("gpt2", std::slice::from_ref(&change));
        let theirs: tokenizers::Tokenizer = json.parse().unwrap();
        let ours =
            Any::from_json(json, Reading { engine: false, strict: false, parse_special: true })
                .unwrap();
        let mut random = Random(17);
        for length in 0..150 {
            let text = nasty(&mut random, length);
            let expected = theirs.encode(text.as_str(), false).unwrap();
            assert_eq!(expected.get_ids(), ours.encode(&text, false).unwrap(), "{text:?}");
            let ids = expected.get_ids();
            assert_eq!(theirs.decode(ids, false).unwrap(), ours.decode(ids, false).unwrap());
        }
    }
}

#[test]
fn entries_that_ask_for_too_much_are_named() {
    let padding = |strategy: Value, multiple: Value| {
        json!({"strategy": strategy, "direction": "Right", "pad_to_multiple_of": multiple,
               "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"})
    };
    let cut = |most: u64, stride: u64| {
        json!({"direction": "Right", "max_length": most, "strategy": "LongestFirst",
               "stride": stride})
    };
    let part = json!({"Sequence": {"id": "A", "type_id": 0}});
    // A tree of 4 GiB; and a character that becomes 66 bytes.
    let maps = ["/////wAA".to_owned(), "AAAAAA".to_owned() + &"YWFh".repeat(22)];
    let map = |text: &str| json!({"type": "Precompiled", "precompiled_charsmap": text});
    let huge = u64::MAX;
    let cases = [
        ("/model/vocab/a", json!(4_000_000_000_u32), "model.vocab[\"a\"]: expected 0 to "),
        ("/model/vocab/a", json!(-1), "model.vocab[\"a\"]: expected 0 to "),
        ("/model/vocab/a", json!("7"), "model.vocab[\"a\"]: expected 0 to "),
        (
            "/model/merges/3",
            json!(["a", "nowhere"]),
            "model.merges[3]: \"nowhere\" is not in model.vocab",
        ),
        ("/model/merges/3", json!(["a"]), "model.merges[3]: expected a pair"),
        (
            "/model/merges/3",
            json!(["a", "<mask>"]),
            "model.merges[3]: \"a<mask>\" is not in model.vo",
        ),
        ("/model/merges/3", json!("a b c"), "model.merges[3]: expected a pair of tokens, got"),
        (
            "/added_tokens/1/special",
            json!(1),
            "added_tokens[1].special: expected true or false, got 1",
        ),
        ("/model/merges", json!(null), "model.merges: expected a list, got null"),
        ("/added_tokens/1/id", json!(huge), "added_tokens[1].id: expected 0 to"),
        ("/added_tokens/1", json!({"id": 1}), "added_tokens[1].content: expected a text, got null"),
        ("/added_tokens/1/content", json!("x".repeat(1 << 24)), "added_tokens: expected at most "),
        (
            "/padding",
            padding(json!({"Fixed": huge}), json!(null)),
            "padding.strategy.Fixed: expected 0 to 1048576, got 184",
        ),
        (
            "/padding",
            padding(json!("BatchLongest"), json!(0)),
            "padding.pad_to_multiple_of: expected 1 to 1048576, got 0",
        ),
        (
            "/padding",
            padding(json!("BatchLongest"), json!(huge)),
            "padding.pad_to_multiple_of: expected 1 to 1048576, got 184",
        ),
        ("/truncation", cut(8, 8), "truncation.stride: expected 0 to 7, got 8"),
        ("/post_processor", template(json!([part]), huge), "post_processor.special_tokens.<pad>.i"),
        (
            "/post_processor",
            template(json!(vec![part; 99]), 0),
            "post_processor.single: expected at most 64 parts, got 99",
        ),
        (
            "/post_processor",
            json!({"type": "BertProcessing", "sep": ["<pad>", huge],
                                   "cls": ["<pad>", 0]}),
            "post_processor.sep: expected 0 to ",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "FixedLength", "length": 0}),
            "pre_tokenizer.length: expected 1 to 1048576, got 0",
        ),
        ("/pre_tokenizer", split("("), "pre_tokenizer.pattern.Regex: end pattern"),
        (
            "/pre_tokenizer",
            split(&"(".repeat(1 << 15)),
            "pre_tokenizer.pattern.Regex: expected at most 16384 bytes, got 32768",
        ),
        (
            "/normalizer",
            map(&maps[0]),
            "normalizer.precompiled_charsmap: expected a tree of 4294967295 bytes, got 2",
        ),
        (
            "/normalizer",
            map(&maps[1]),
            "normalizer.precompiled_charsmap: expected a character to become at most 64 bytes, got 66",
        ),
        ("/normalizer", map("?"), "normalizer.precompiled_charsmap: expected base 64"),
        (
            "/model",
            json!({"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a",
                          "continuing_subword_prefix": "", "max_input_chars_per_word": 1 << 20}),
            "model.max_input_chars_per_word: expected 0 to 512, got 1048576",
        ),
        (
            "/model",
            json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0],
                          ["a".repeat(1 << 20), 0.0]]}),
            "model.vocab[1]: expected at most 1024 characters, got 1048576",
        ),
        ("/model", json!({"type": "Unigram", "unk_id": 7, "vocab": [["a", 0.0]]}), "tokenizer: "),
        ("/model", json!({"type": "nothing"}), "tokenizer: "),
    ];
    for (pointer, value, expected) in cases {
        let json = file("gpt2", &[(pointer, value)]);
        for engine in [true, false] {
            let Err(error) = Any::from_json(json.clone(), Reading { engine, ..Reading::default() })
            else {
                panic!("{pointer}: loads; expected {expected:?}")
            };
            let error = error.to_string();
            let named = error.starts_with(expected) && error.len() < 300;
            assert!(named, "{pointer}: {error}; expected {expected:?}");
        }
    }
}

#[test]
fn many_patterns_do_not_take_long_to_refuse() {
    let steps = |pattern: &str, count: usize| json!({"type": "Sequence", "pretokenizers": vec![split(pattern); count]});
    let refused = |value: Value| {
        let json = file("gpt2", &[("/pre_tokenizer", value)]);
        Any::from_json(json, Reading::default()).map(drop).unwrap_err().to_string()
    };
    let message = refused(steps("a", 100));
    assert!(
        message.starts_with("pre_tokenizer.pretokenizers[64].pattern.Regex: expected at"),
        "{message}"
    );
    // Cubic, and so not refused for itself.
    let message = refused(steps(r"a*a*\n*\n*1*1* * *\.*é*é*X", 60));
    assert!(message.starts_with("pre_tokenizer.pretokenizers["), "{message}");
    assert!(message.contains("].pattern.Regex: expected a pattern without nested"), "{message}");
    let message = refused(json!({"type": "Split", "pattern": {"String": "x".repeat(1 << 15)},
                              "behavior": "Removed", "invert": false}));
    assert!(
        message.starts_with("pre_tokenizer.pattern.String: expected at most 16384 "),
        "{message}"
    );
}

#[test]
fn what_is_no_tokenizer_is_an_error() {
    for json in ["", "{", "{}", "[]", "null", "7", "\"a\"", "{\"model\": []}", &"[".repeat(1 << 20)]
    {
        for engine in [true, false] {
            assert!(
                Any::from_json(json.to_owned(), Reading { engine, ..Reading::default() }).is_err(),
                "{json:.20}"
            );
        }
    }
}

#[test]
fn a_hundred_thousand_added_tokens_load_at_once() {
    let first = serde_json::from_str::<Value>(&json("gpt2")).unwrap()["model"]["vocab"]
        .as_object()
        .unwrap()
        .len();
    let tokens: Vec<Value> = (first..first + 100_000)
        .map(|id| {
            json!({"id": id, "content": format!("<{id}>"), "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let json = file("gpt2", &[("/added_tokens", tokens.into())]);
    let reading = Reading { engine: true, strict: true, parse_special: true };
    let tokenizer = Any::from_json(json, reading).unwrap();
    assert_eq!(
        vec![first as u32 + 5],
        tokenizer.encode(&format!("<{}>", first + 5), false).unwrap()
    );
}
