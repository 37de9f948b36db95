//! What is learned depends on the texts and on nothing else.

mod common;

use common::{CORPUS, Random, train};
use fast_tokenizer::{Error, MAX_VOCAB, Result, Settings, Trainer};

#[test]
fn same_texts_give_the_same_tokenizer() -> Result<()> {
    let mut random = Random(7);
    let texts: Vec<String> = (0..300).map(|_| random.text()).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).chain(CORPUS).collect();
    let expected = train(&texts, 600, 1)?.to_json();

    for threads in [1, 2, 5, 0] {
        assert_eq!(expected, train(&texts, 600, threads)?.to_json(), "{threads} threads");
    }
    texts.reverse();
    assert_eq!(expected, train(&texts, 600, 2)?.to_json(), "another order");
    let mut trainer = Trainer::new(Settings { vocab_size: 600, min_frequency: 2, threads: 2 })?;
    trainer.feed(&texts)?;
    assert_eq!(expected, trainer.finish()?.to_json(), "all at once");
    Ok(())
}

#[test]
fn most_frequent_pair_is_merged_first() -> Result<()> {
    let bpe = train(&["ab ab ab ab cd cd"], 262, 1)?;

    assert_eq!(b"ab", bpe.token(260)?);
    assert_eq!(b" ab", bpe.token(261)?);
    Ok(())
}

#[test]
fn larger_vocabularies_shorten_texts() -> Result<()> {
    let lengths: Vec<usize> = [260, 300, 330]
        .into_iter()
        .map(|size| Ok(train(&CORPUS, size, 1)?.encode(CORPUS[0])?.len()))
        .collect::<Result<_>>()?;

    assert_eq!(CORPUS[0].len(), lengths[0]);
    assert!(lengths.is_sorted_by(|a, b| a > b), "{lengths:?}");
    Ok(())
}

#[test]
fn names_of_special_tokens_in_the_texts_change_nothing_about_them() -> Result<()> {
    let bpe = train(&["<mask><mask> <pad>".repeat(50).as_str()], 266, 1)?;

    assert_eq!(b"<mask>", bpe.token(0)?);
    assert!(!bpe.encode("<mask>")?.contains(&0));
    assert_eq!("<mask>", bpe.decode(&bpe.encode("<mask>")?)?);
    Ok(())
}

#[test]
fn one_long_word_is_learned_in_parts() -> Result<()> {
    let dna: String =
        (0..1 << 18).map(|i: u32| char::from(b"ACGT"[i.count_ones() as usize % 4])).collect();

    assert_eq!(300, train(&[&dna], 300, 2)?.vocab_size());
    Ok(())
}

#[test]
fn too_little_text_names_what_would_do() {
    for (texts, reached) in [(&[][..], 260), (&["a"][..], 260), (&["ab ab", "x"][..], 261)] {
        match train(texts, 262, 1) {
            Err(Error::TooLittleText { wanted: 262, reached: found, min_frequency: 2 }) => {
                assert_eq!(reached, found, "{texts:?}");
            }
            other => panic!("{texts:?}: {other:?}"),
        }
    }
}

#[test]
fn impossible_vocabularies_are_refused_before_anything_is_allocated() {
    for vocab_size in [0, 259, MAX_VOCAB + 1, usize::MAX] {
        let settings = Settings { vocab_size, min_frequency: 1, threads: 1 };

        assert!(
            matches!(Trainer::new(settings), Err(Error::VocabSize(size)) if size == vocab_size)
        );
    }
}
