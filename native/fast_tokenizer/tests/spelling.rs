//! What tokens add to a text, put together by contexts, is what the reference decodes.

use fast_tokenizer::{Any, Reading};
use serde_json::{Map, Value, json};

/// Names that decoders look at in different ways.
const NAMES: [&str; 24] = [
    "a", "##b", "b", "▁c", "▁", " ", "  d", "d", "e</w>", "</w>", "<0x41>", "<0xC3>", "<0xA9>",
    "<0x4>", "<0xZZ>", "é", "Ġf", "Ċ", "<pad>", "|", ".", "n't", "##.", "ab",
];

fn file(decoder: &Value, names: &[String]) -> String {
    let vocab: Map<String, Value> =
        names.iter().cloned().zip(0..).map(|(name, id)| (name, json!(id))).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [], "pre_tokenizer": null, "post_processor": null, "decoder": decoder,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "a"},
    })
    .to_string()
}

fn read(decoder: &Value) -> Any {
    let names = NAMES.map(str::to_owned);
    Any::from_json(file(decoder, &names), Reading::default()).unwrap()
}

/// The bytes of ids by their contexts; none where one of them stands in no text.
fn told(tokenizer: &Any, ids: &[u32]) -> Option<Vec<u8>> {
    let contexts = tokenizer.spelling().unwrap();
    let (mut bytes, mut at) = (Vec::new(), 0);
    for (i, &id) in ids.iter().enumerate() {
        let context = &contexts[at];
        let last = context.last.as_ref().filter(|_| i + 1 == ids.len());
        bytes.extend_from_slice(last.unwrap_or(&context.bytes)[id as usize].as_deref()?);
        at = context.next[id as usize] as usize;
    }
    Some(bytes)
}

fn replace(from: &str, to: &str) -> Value {
    json!({"type": "Replace", "pattern": {"String": from}, "content": to})
}

fn strip(content: &str, start: usize) -> Value {
    json!({"type": "Strip", "content": content, "start": start, "stop": 0})
}

fn steps(steps: &[Value]) -> Value {
    json!({"type": "Sequence", "decoders": steps})
}

#[test]
fn contexts_put_together_are_what_is_decoded() {
    let (fuse, bytes) = (json!({"type": "Fuse"}), json!({"type": "ByteFallback"}));
    let piece = |cleanup: bool| json!({"type": "WordPiece", "prefix": "##", "cleanup": cleanup});
    let meta = |scheme: &str| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true});
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let ctc =
        json!({"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": true});
    let decoders = [
        Value::Null,
        piece(false),
        piece(true),
        meta("always"),
        meta("never"),
        json!({"type": "BPEDecoder", "suffix": "</w>"}),
        ctc,
        level,
        fuse.clone(),
        bytes.clone(),
        replace("a", "xyz"),
        steps(&[replace("▁", " "), bytes.clone(), fuse.clone(), strip(" ", 1)]),
        steps(&[replace("▁", " "), bytes, fuse.clone(), strip(" ", 3)]),
        steps(&[fuse.clone(), strip("a", 2)]),
        steps(&[fuse.clone(), strip("é", 2)]),
        steps(&[replace("b", ""), piece(false), fuse.clone(), strip("a", 16)]),
        steps(&[strip("a", 1), fuse]),
    ];
    let mut state = 5_u64;
    let mut pick = |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % most
    };
    for decoder in decoders {
        let tokenizer = read(&decoder);
        let mut compared = 0;
        for round in 0..400 {
            // Few names in some rounds, so that the same one comes twice.
            let (first, few) = (pick(NAMES.len()), [NAMES.len(), 3][round % 2]);
            let ids: Vec<u32> =
                (0..1 + pick(6)).map(|_| ((first + pick(few)) % NAMES.len()) as u32).collect();
            let Some(Ok(text)) = told(&tokenizer, &ids).map(String::from_utf8) else { continue };
            assert_eq!(tokenizer.decode(&ids, false).unwrap(), text, "{decoder} {ids:?}");
            compared += 1;
        }
        assert!(compared > 100, "{decoder}: {compared}");
    }
}

#[test]
fn what_looks_at_more_than_a_token_is_refused_by_its_step() {
    let (fuse, bytes) = (json!({"type": "Fuse"}), json!({"type": "ByteFallback"}));
    let ctc =
        json!({"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": true});
    let stop = json!({"type": "Strip", "content": " ", "start": 0, "stop": 1});
    for (decoder, name) in [
        (steps(&[fuse.clone(), replace("a", "b")]), "Replace as step 2"),
        (steps(&[bytes.clone(), replace("a", "b")]), "Replace as step 2"),
        (steps(&[fuse.clone(), stop]), "Strip as step 2"),
        (steps(&[fuse.clone(), strip(" ", 17)]), "Strip as step 2"),
        (steps(&[fuse.clone(), strip(" ", 1), strip(" ", 1)]), "Strip as step 3"),
        (steps(&[bytes.clone(), fuse.clone(), strip("é", 1)]), "Strip as step 3"),
        (steps(&[ctc.clone(), fuse.clone(), strip(" ", 1)]), "Strip as step 3"),
        (steps(&[replace("a", "b"), ctc.clone()]), "CTC as step 2"),
        (steps(&[fuse.clone(), bytes]), "ByteFallback as step 2"),
        (steps(&[fuse, json!({"type": "BPEDecoder", "suffix": "x"})]), "BPEDecoder as step 2"),
    ] {
        let error = read(&decoder).spelling().unwrap_err().to_string();
        assert!(error.starts_with(&format!("decoder: {name}")), "{decoder}: {error}");
    }
    let names: Vec<String> = (0..1025).map(|i| format!("t{i}")).chain(["a".into()]).collect();
    let many = Any::from_json(file(&ctc, &names), Reading::default()).unwrap();
    let error = many.spelling().unwrap_err().to_string();
    assert_eq!("decoder: CTC of 1026 tokens; expected at most 1024", error);
}
