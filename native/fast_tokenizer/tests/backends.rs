//! Which files are for the engine, and that whoever reads one gives the crate's ids, with and without
//! the template.

mod engine_common;

use engine_common::{Random, json, nasty};
use fast_tokenizer::engine::Pattern;
use fast_tokenizer::{Any, Backend, Reading};
use serde_json::{Value, json};

fn file(changes: &[(&str, Value)]) -> String {
    let mut file: Value = serde_json::from_str(&json("gpt2")).unwrap();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match file.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            object => object[key] = value.clone(),
        }
    }
    file.to_string()
}

fn read(json: &str, parse_special: bool) -> Any {
    Any::from_json(json.to_owned(), Reading { parse_special, ..Reading::default() }).unwrap()
}

fn level(prefix: bool, regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true,
           "use_regex": regex})
}

fn split(regex: Option<&str>, behavior: &str, invert: bool) -> Value {
    json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert})
}

fn sequence(key: &str, steps: &[Value]) -> Value {
    json!({"type": "Sequence", key: steps})
}

fn template(single: &[&str]) -> Value {
    let piece = |name: &&str| match *name {
        "A" => json!({"Sequence": {"id": "A", "type_id": 0}}),
        name => json!({"SpecialToken": {"id": name, "type_id": 0}}),
    };
    let special = |name: &str, ids: &[u32], tokens: &[&str]| json!({"id": name, "ids": ids, "tokens": tokens});
    json!({
        "type": "TemplateProcessing", "single": single.iter().map(piece).collect::<Vec<_>>(),
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            "<mask>": special("<mask>", &[1], &["<mask>"]),
            "both": special("both", &[0, 1], &["<pad>", "<mask>"]),
        },
    })
}

/// What is changed in a file, and whether the engine reads it then.
fn cases() -> Vec<(Vec<(&'static str, Value)>, bool)> {
    let gpt2 = Pattern::Gpt2.regex();
    let [three, one] = [3, 1].map(|digits| Pattern::Cl100k { digits }.regex());
    let cut = |split: Value, level: Value| sequence("pretokenizers", &[split, level]);
    let pre = [
        (json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}), true),
        (level(true, false), true),
        (level(true, true), true),
        (level(false, false), true),
        (cut(split(gpt2, "Isolated", false), level(false, false)), true),
        (cut(split(three, "Removed", true), level(false, false)), true),
        (cut(split(one, "Isolated", false), level(false, false)), true),
        (cut(split(three, "Removed", false), level(false, false)), false),
        (cut(split(three, "MergedWithNext", false), level(false, false)), false),
        (cut(split(three, "Isolated", true), level(false, false)), false),
        (cut(split(three, "Isolated", false), level(false, true)), false),
        (cut(split(three, "Isolated", false), level(true, false)), false),
        (cut(split(Some(r"\s+"), "Isolated", false), level(false, false)), false),
        (cut(level(false, false), split(three, "Isolated", false)), false),
        (sequence("pretokenizers", &[level(false, true)]), false),
        (Value::Null, false),
        (json!({"type": "Whitespace"}), false),
    ];
    let post = [
        (level(false, true), true),
        (template(&["<mask>", "A", "both"]), true),
        (template(&["A", "<mask>", "both"]), true),
        (template(&["both", "A"]), true),
        (sequence("processors", &[level(false, true), template(&["<mask>", "A"])]), true),
        (sequence("processors", &[template(&["<mask>", "A"]), level(false, true)]), false),
        (sequence("processors", &[template(&["<mask>", "A"])]), false),
        (json!({"type": "BertProcessing", "sep": ["<mask>", 1], "cls": ["<pad>", 0]}), false),
    ];
    let alone = [
        ("/normalizer", json!({"type": "NFC"}), false),
        ("/decoder", json!({"type": "Fuse"}), false),
        ("/decoder", Value::Null, false),
        ("/model/dropout", json!(0.0), true),
        ("/model/continuing_subword_prefix", json!(""), true),
        ("/model/end_of_word_suffix", json!(""), true),
        ("/model/end_of_word_suffix", json!("</w>"), false),
        ("/model/byte_fallback", json!(true), false),
        ("/model/ignore_merges", json!(true), true),
        ("/added_tokens/0/single_word", json!(true), false),
        ("/added_tokens/0/lstrip", json!(true), true),
        ("/added_tokens/1/rstrip", json!(true), true),
        ("/added_tokens/3/lstrip", json!(true), true),
    ];
    let mut cases = vec![(vec![], true)];
    cases.extend(pre.into_iter().map(|(value, engine)| (vec![("/pre_tokenizer", value)], engine)));
    cases.extend(post.into_iter().map(|(v, engine)| (vec![("/post_processor", v)], engine)));
    cases.extend(alone.into_iter().map(|(at, value, engine)| (vec![(at, value)], engine)));
    // White space on either side is taken along by both tokens, of which one comes first.
    let both = ["/added_tokens/0/lstrip", "/added_tokens/0/rstrip", "/added_tokens/1/lstrip"];
    cases.push((both.map(|at| (at, json!(true))).to_vec(), true));
    let merges: Value = serde_json::from_str::<Value>(&json("gpt2")).unwrap()["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| json!(format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap())))
        .collect();
    cases.push((vec![("/model/merges", merges)], true));
    cases
}

#[test]
fn whoever_reads_a_file_gives_the_crates_ids() {
    let mut random = Random(91);
    let texts: Vec<String> = (0..12).map(|i| nasty(&mut random, i * 4)).collect();
    let extra = ["<mask> <pad>  <mask>", " <pad><pad> \n<mask>", "x <mask>  <pad> !!", ""];
    for (changes, engine) in cases() {
        let json = file(&changes);
        let (ours, reference) = (read(&json, true), json.parse::<tokenizers::Tokenizer>().unwrap());
        let found = matches!(ours.backend(), Backend::Engine(_));
        assert_eq!(engine, found, "{changes:?}");
        let strict = Reading { strict: true, ..Reading::default() };
        assert_eq!(engine, Any::from_json(json.clone(), strict).is_ok());
        for text in texts.iter().map(String::as_str).chain(extra) {
            for around in [false, true] {
                let expected = reference.encode(text, around).unwrap();
                let ids = ours.encode(text, around).unwrap();
                assert_eq!(expected.get_ids(), ids, "{changes:?} {text:?}");
                let batch = ours.encode_batch(&["", text, text], around, 2).unwrap();
                let rows: Vec<&[u32]> = batch.rows().collect();
                let nothing = reference.encode("", around).unwrap();
                assert_eq!(vec![nothing.get_ids(), &ids, &ids], rows, "{changes:?} {text:?}");
            }
        }
    }
}

#[test]
fn a_tokenizer_says_of_itself_what_the_crate_says() {
    for (changes, _) in cases() {
        let json = file(&changes);
        let (ours, reference) = (read(&json, true), json.parse::<tokenizers::Tokenizer>().unwrap());
        let vocabulary = reference.get_vocab(true);
        assert_eq!(*vocabulary.values().max().unwrap() as usize + 1, ours.vocab_size());
        let added = ours.added();
        let expected = reference.get_added_vocabulary().get_vocab();
        assert_eq!(expected.len(), added.len());
        assert!(added.iter().all(|(name, id)| expected.get(name) == Some(id)));
        let special: Vec<&str> = ours.special().keys().map(String::as_str).collect();
        assert_eq!(2, special.len());
        assert!(special.iter().all(|name| added.contains_key(*name)));
        assert_eq!(json, ours.json());
    }
}

/// Tokens that were added and are not special are text, also where special ones are left out.
#[test]
fn decoding_leaves_out_special_tokens_alone() {
    let ours = read(&file(&[]), true);
    let reference: tokenizers::Tokenizer = file(&[]).parse().unwrap();
    let ids = ours.encode("a<mask>b!!c<pad>", false).unwrap();
    assert_eq!("ab!!c", ours.decode(&ids, true).unwrap());
    assert_eq!("a<mask>b!!c<pad>", ours.decode(&ids, false).unwrap());
    for skip in [false, true] {
        for length in 0..ids.len() {
            let expected = reference.decode(&ids[..length], skip).unwrap();
            assert_eq!(expected, ours.decode(&ids[..length], skip).unwrap());
        }
    }
    // Ids by themselves: those of bytes are bytes, and what is no id is nothing.
    assert_eq!(b"<mask>".to_vec(), ours.token(1));
    assert_eq!(Vec::<u8>::new(), ours.token(u32::MAX));
}

#[test]
fn long_texts_are_cut_and_put_together_on_any_number_of_threads() {
    let mut random = Random(17);
    let mut long = nasty(&mut random, 60_000);
    while long.len() < 5 << 18 {
        long = long.repeat(2) + "<mask> it's";
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, &long).unwrap();
    for pre_tokenizer in [level(true, true), level(false, true)] {
        let ours = read(&file(&[("/pre_tokenizer", pre_tokenizer)]), true);
        let expected = ours.encode(&long, false).unwrap();
        for threads in [1, 3] {
            assert!(expected == ours.encode_file(&path, threads).unwrap());
            let batch = ours.encode_batch(&["a", &long, "", "b"], false, threads).unwrap();
            let rows: Vec<&[u32]> = batch.rows().collect();
            assert!(rows[1] == expected && rows[2].is_empty());
            assert_eq!(ours.encode("b", false).unwrap(), rows[3]);
        }
    }
}
