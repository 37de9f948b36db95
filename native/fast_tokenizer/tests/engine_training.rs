//! Training against the `tokenizers` crate: the same merges in the same order.

mod engine_common;

use engine_common::{Random, nasty};
use fast_tokenizer::engine::{Pattern, Trainer};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

/// Tokens by id and merges, by the reference.
fn reference(texts: &[String], size: usize, special: &[&str]) -> (Vec<String>, Vec<[String; 2]>) {
    let tokens = special.iter().map(|name| AddedToken::from(*name, true)).collect();
    let mut trainer = TrainerWrapper::BpeTrainer(
        BpeTrainer::builder()
            .vocab_size(size)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(tokens)
            .build(),
    );
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.train(&mut trainer, texts.iter()).unwrap();
    let file: serde_json::Value =
        serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap();
    let mut tokens: Vec<(u64, String)> = file["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (id.as_u64().unwrap(), token.clone()))
        .collect();
    tokens.sort();
    let merges = serde_json::from_value(file["model"]["merges"].clone()).unwrap();
    (tokens.into_iter().map(|(_, token)| token).collect(), merges)
}

#[test]
fn merges_are_the_references_in_its_order_for_any_number_of_threads() {
    let mut random = Random(11);
    // A special token that the texts also spell keeps its id when merges spell it.
    let texts: Vec<String> = (0..600).map(|i| nasty(&mut random, i % 90)).collect();
    let special = ["<pad>", "<mask>", "the"];
    let (tokens, merges) = reference(&texts, 1500, &special);
    for threads in [1, 2, 7] {
        let mut trainer = Trainer::new(Pattern::Gpt2, threads);
        for texts in texts.chunks(100) {
            trainer.feed(texts);
        }
        let learned = trainer.finish(1500, 2, &special, |_| true);
        let spelled = |id: u32| learned.tokens[id as usize].clone();
        let found: Vec<[String; 2]> =
            learned.rules.iter().map(|&(a, b, _)| [spelled(a), spelled(b)]).collect();
        assert_eq!(tokens, learned.tokens);
        assert_eq!(merges, found);
    }
}

#[test]
fn too_little_text_and_none() {
    let mut trainer = Trainer::new(Pattern::Gpt2, 2);
    trainer.feed(&["aaaa", ""]);
    let learned = trainer.finish(1000, 1, &[], |_| true);
    assert_eq!((258, 2), (learned.tokens.len(), learned.rules.len()));
    let empty = Trainer::new(Pattern::Gpt2, 2).finish(1000, 1, &[], |_| true);
    assert_eq!(256, empty.tokens.len());
}

#[test]
fn a_megabyte_of_one_letter_is_learned_in_no_time() {
    let mut trainer = Trainer::new(Pattern::Gpt2, 1);
    trainer.feed(&["a".repeat(1 << 20)]);
    assert_eq!(264, trainer.finish(264, 2, &[], |_| true).tokens.len());
}

/// Texts of several parts, of which each thread counts some.
#[test]
fn long_texts_are_counted_alike_by_any_number_of_threads() {
    let mut random = Random(19);
    let long = nasty(&mut random, 250_000);
    assert!(long.len() > 400_000);
    for pattern in [Pattern::Gpt2, Pattern::Cl100k { digits: 3 }] {
        let learn = |threads: usize, texts: &[&str]| {
            let mut trainer = Trainer::new(pattern, threads);
            trainer.feed(texts);
            trainer.feed(&["the the"]);
            trainer.finish(330, 2, &[], |_| true)
        };
        let expected = learn(1, &[&long, "", "x"]);
        for threads in [2, 3] {
            assert!(expected == learn(threads, &["x", &long]), "{pattern:?} {threads}");
        }
    }
}

#[test]
fn whoever_watches_is_told_each_size_and_can_stop() {
    let learn = |most: usize| {
        let mut trainer = Trainer::new(Pattern::Gpt2, 1);
        trainer.feed(&["abcdefgh abcdefgh"]);
        let mut told = Vec::new();
        let learned = trainer.finish(262, 1, &[], |size| {
            told.push(size);
            size < most
        });
        (told, learned.tokens.len(), learned.rules.len())
    };
    assert_eq!(((257..=262).collect(), 262, 6), learn(usize::MAX));
    assert_eq!((vec![257, 258], 258, 2), learn(258));
}
