//! Tokenizers of several kinds, each as the engine and as the reference, and texts to try.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::LazyLock;

use fast_tokenizer::engine::{Engine, Pattern, Spec};
use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

/// The kinds: patterns, a blank in front, merges ignored, tokens that take space along, no cut.
pub const ALL: [&str; 6] = ["gpt2", "cl100k", "qwen2", "prefix", "ignore", "whole"];

/// A small generator of numbers.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        self.0 >> 33
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.next() as usize % of.len()]
    }
}

const UNITS: [&str; 46] = [
    "a",
    "b",
    "the",
    " the",
    "s",
    "t",
    "l",
    "E",
    "Z",
    "'",
    "'s",
    "'RE",
    "'ll",
    "'D",
    "\u{2019}s",
    "1",
    "23",
    "456",
    "٣",
    "½",
    "Ⅷ",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\u{A0}",
    "\u{3000}",
    "\u{2028}",
    "\u{85}",
    "!",
    "(",
    "_",
    "...",
    "é",
    "e\u{301}",
    "ſ",
    "中",
    "文字",
    "한",
    "😀",
    "👩\u{200D}🚀",
    "\u{200B}",
    "\u{10FFFF}",
    "<mask>",
    "<pad>",
];

/// A text of about `length` units.
pub fn nasty(random: &mut Random, length: usize) -> String {
    let mut text = String::new();
    while length > 0 && text.len() < length * 2 {
        let unit = random.pick(&UNITS);
        let times = if random.next().is_multiple_of(8) { random.next() % 70 } else { 1 };
        text += &unit.repeat(times as usize);
        if random.next().is_multiple_of(4) {
            text.push(char::from_u32(random.next() as u32 % 0x11_0000).unwrap_or(' '));
        }
    }
    text
}

/// What a little text taught.
static MODEL: LazyLock<Value> = LazyLock::new(|| {
    let alphabet = ByteLevel::alphabet().into_iter().collect();
    let trainer = BpeTrainer::builder()
        .vocab_size(700)
        .show_progress(false)
        .initial_alphabet(alphabet)
        .special_tokens(["<pad>", "<mask>"].map(|name| AddedToken::from(name, true)).to_vec())
        .build();
    let mut random = Random(1);
    let words: Vec<String> = (0..4000).map(|_| nasty(&mut random, 6)).collect();
    let counts = words.iter().map(|word| {
        let spelled: String = word.bytes().map(spell).collect();
        (spelled.into(), 3)
    });
    let mut model = BPE::default();
    trainer.do_train(&counts.collect(), &mut model).unwrap();
    serde_json::to_value(&model).unwrap()
});

/// A `tokenizer.json` of a kind.
pub fn json(kind: &str) -> String {
    let mut model = MODEL.clone();
    let regex = |pattern: Pattern| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern.regex()}, "behavior": "Isolated",
             "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
             "use_regex": false}]})
    };
    let level = |prefix: bool, regex: bool| {
        json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true,
               "use_regex": regex})
    };
    if kind == "ignore" {
        model["ignore_merges"] = true.into();
        // Entries that no merge makes: only whole pieces are they.
        let size = model["vocab"].as_object().unwrap().len();
        model["vocab"]["theaaaa"] = size.into();
        model["vocab"]["Ġtheb"] = (size + 1).into();
    }
    let pre_tokenizer = match kind {
        "gpt2" | "ignore" => level(false, true),
        "cl100k" => regex(Pattern::Cl100k { digits: 3 }),
        "qwen2" => regex(Pattern::Cl100k { digits: 1 }),
        "prefix" => level(true, true),
        _ => level(false, false),
    };
    let strip = kind == "qwen2";
    let mut next = model["vocab"].as_object().unwrap().len() as u64;
    let mut added = |content: &str, normalized: bool| {
        let id = model["vocab"].get(content).and_then(Value::as_u64).unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        json!({"id": id, "content": content, "single_word": false, "lstrip": strip,
               "rstrip": strip && !normalized, "normalized": normalized, "special": !normalized})
    };
    let added =
        [added("<pad>", false), added("<mask>", false), added("!!", true), added("!ä", true)];
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": added,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": level(false, true),
        "model": model,
    })
    .to_string()
}

fn spell(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let before = (0..byte).filter(|&b| !printable(b)).count() as u32;
    if printable(byte) { char::from(byte) } else { char::from_u32(256 + before).unwrap() }
}

/// The kind's name, the engine and the reference, both of which look for special tokens.
pub fn pair(kind: &str) -> (&str, Engine, Tokenizer) {
    let json = json(kind);
    let spec = Spec { parse_special: true, ..Spec::from_json(&json).unwrap() };
    (kind, Engine::new(spec).unwrap(), json.parse().unwrap())
}
