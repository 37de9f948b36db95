//! The engine against the `tokenizers` crate, on texts made to be difficult.

mod engine_common;

use engine_common::{ALL, Random, json, nasty, pair};
use fast_tokenizer::engine::{Batch, Engine, Stream};

#[test]
fn ids_are_the_references_on_nasty_texts() {
    for (name, engine, reference) in ALL.iter().map(|kind| pair(kind)) {
        let mut random = Random(42);
        for length in 0..1500 {
            let text = nasty(&mut random, length % 120);
            let expected = reference.encode_fast(text.as_str(), false).unwrap();
            assert_eq!(expected.get_ids(), engine.encode(&text), "{name}: {text:?}");
        }
    }
}

#[test]
fn pairs_of_code_points_give_the_references_ids() {
    let mut random = Random(5);
    for (name, engine, reference) in ["gpt2", "cl100k"].map(pair) {
        for _ in 0..3000 {
            let [a, b] = [0; 2].map(|_| {
                loop {
                    // Half of them from the planes that have letters, marks and numbers at all.
                    let limit = if random.next().is_multiple_of(2) { 0x3000 } else { 0x11_0000 };
                    if let Some(code) = char::from_u32(random.next() as u32 % limit) {
                        break code;
                    }
                }
            });
            let text = format!("x{a}{b}y {a}1{b}'s{a} \n{b}'{a}  {b}!{a}\t{b}{b}{a}");
            let expected = reference.encode_fast(text.as_str(), false).unwrap();
            assert_eq!(expected.get_ids(), engine.encode(&text), "{name}: {text:?}");
        }
    }
}

#[test]
fn decoding_gives_back_any_bytes() {
    let mut random = Random(7);
    for (name, engine, reference) in ALL.iter().map(|kind| pair(kind)) {
        for length in 0..300 {
            let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            let mut ids = Vec::new();
            engine.encode_into(&bytes, false, &mut ids);
            let decoded = engine.decode_bytes(&ids, false);
            // A tokenizer that puts a blank in front gives it back too.
            assert!(decoded.ends_with(&bytes) && decoded.len() <= bytes.len() + 1, "{name}");
            assert_eq!(reference.decode(&ids, true).unwrap(), engine.decode(&ids, true));
            let mut stream = Stream::default();
            let mut text: String = ids.iter().map(|&id| stream.push(engine.token(id))).collect();
            text += &stream.finish();
            assert_eq!(String::from_utf8_lossy(&decoded), text);
        }
        let special = engine.encode("a<mask>b<pad>");
        for skip in [false, true] {
            assert_eq!(reference.decode(&special, skip).unwrap(), engine.decode(&special, skip));
        }
        assert_eq!("", engine.decode(&[u32::MAX, 1 << 30], false));
    }
}

#[test]
fn threads_change_nothing() {
    let mut random = Random(3);
    let mut texts: Vec<String> = (0..300).map(|i| nasty(&mut random, i * 7)).collect();
    texts.push(nasty(&mut random, 700_000));
    texts.push("x".repeat(1 << 21));
    // Wherever it is cut, a part begins with what a blank would be put in front of.
    texts.push("x\n".repeat(1 << 20));
    texts.push(String::new());
    for (name, engine, _) in ALL.iter().map(|kind| pair(kind)) {
        for added in [false, true] {
            let expected = engine.encode_batch(&texts, added, 1);
            for threads in [2, 5] {
                assert!(expected == engine.encode_batch(&texts, added, threads), "{name}");
            }
        }
        let nothing = Batch { ids: vec![], offsets: vec![0] };
        assert_eq!(nothing, engine.encode_batch::<&str>(&[], true, 4));
    }
}

#[test]
fn the_worst_texts_take_no_time() {
    let (_, engine, _) = pair("cl100k");
    let units = ["a", " ", "\n", "😀", "\u{301}", "'", "1", "\n ", "a'", "ſ", "<mas", "\u{3000}"];
    let (_, stripping, _) = pair("qwen2");
    let tokens = "<mask> ".repeat(1 << 18);
    assert_eq!(1 << 18, stripping.encode(&tokens).len());
    for unit in units {
        let text = unit.repeat((1 << 20) / unit.len());
        assert!(text == engine.decode(&engine.encode(&text), false), "{unit:?}");
    }
    for unit in [&b"\xFF"[..], b"\xE4\xB8", b"\xF0\x9F\x98 ", b"a\xC3"] {
        let (bytes, mut ids) = (unit.repeat((1 << 20) / unit.len()), Vec::new());
        engine.encode_into(&bytes, true, &mut ids);
        assert!(bytes == engine.decode_bytes(&ids, false), "{unit:?}");
    }
}

#[test]
fn what_is_not_ours_is_refused_and_what_is_broken_is_named() {
    let change = |pointer: &str, value: serde_json::Value| {
        let mut file: serde_json::Value = serde_json::from_str(&json("gpt2")).unwrap();
        *file.pointer_mut(pointer).unwrap() = value;
        Engine::from_json(&file.to_string()).unwrap_err().to_string()
    };
    let message = change("/model/merges/3", serde_json::json!(["a", "nowhere"]));
    assert!(message.contains("model.merges[3]") && message.contains("nowhere"), "{message}");
    assert!(change("/model/merges/0", serde_json::json!("a b c")).contains("model.merges[0]"));
    assert!(change("/model/vocab/a", serde_json::json!(-1)).contains("model.vocab"));
    assert!(change("/model/vocab/a", serde_json::json!(u32::MAX)).contains("too many"));
    assert!(change("/model/vocab/a", serde_json::json!(9)).contains("belongs to both"));
    assert!(change("/normalizer", serde_json::json!({"type": "NFC"})).contains("normalizer"));
    assert!(change("/added_tokens/0/id", serde_json::json!(77)).contains("added_tokens[0]"));
    // A new token gets the id that follows their count, which a word may have where ids leave gaps.
    let mut file: serde_json::Value = serde_json::from_str(&json("gpt2")).unwrap();
    let count = file["model"]["vocab"].as_object().unwrap().len();
    file["model"]["vocab"]["the"] = count.into();
    file["added_tokens"] = serde_json::json!([{
        "id": count, "content": "<new>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
    }]);
    let message = Engine::from_json(&file.to_string()).unwrap_err().to_string();
    assert!(message.contains("is given to an added token"), "{message}");
    assert!(Engine::from_json("{").is_err() && Engine::from_json("").is_err());
}
