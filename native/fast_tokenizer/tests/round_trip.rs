//! Text comes back as it went in, one by one or in batches, and as Hugging Face's own code has it.

mod common;

use common::{CORPUS, Random, train};
use fast_tokenizer::{Bpe, Result, SPECIAL_TOKENS};
use tokenizers::Tokenizer;

#[test]
fn any_text_survives_and_never_becomes_special() -> Result<()> {
    let bpe = train(&CORPUS, 330, 1)?;
    let mut random = Random(1);
    for _ in 0..2000 {
        let text = random.text();
        let ids = bpe.encode(&text)?;

        assert!(ids.iter().all(|&id| (4..330).contains(&id)), "{text:?}: {ids:?}");
        assert_eq!(text, bpe.decode(&ids)?);
    }
    Ok(())
}

#[test]
fn batches_equal_single_texts() -> Result<()> {
    let bpe = train(&CORPUS, 330, 1)?;
    let mut random = Random(2);
    let texts: Vec<String> = (0..200).map(|_| random.text().repeat(40)).collect();
    let single: Vec<_> = texts.iter().map(|text| bpe.encode(text)).collect::<Result<_>>()?;

    assert_eq!(single, bpe.encode_batch(&texts, 1)?);
    assert_eq!(single, bpe.encode_batch(&texts, 3)?);
    assert_eq!(single[..2], bpe.encode_batch(&texts[..2], 0)?);
    assert_eq!(Vec::<Vec<i32>>::new(), bpe.encode_batch::<&str>(&[], 0)?);
    Ok(())
}

#[test]
fn json_survives_and_hugging_face_agrees() -> Result<()> {
    let bpe = train(&CORPUS, 330, 1)?;
    let json = bpe.to_json();
    let again = Bpe::from_json(&json)?;
    let theirs = Tokenizer::from_bytes(&json).expect("it is their format");
    let mut random = Random(3);

    assert_eq!(json, again.to_json());
    for (id, name) in SPECIAL_TOKENS.iter().enumerate() {
        assert_eq!(Some(id as u32), theirs.token_to_id(name));
        assert_eq!(name.as_bytes(), bpe.token(id as i32)?);
    }
    for _ in 0..500 {
        let text = random.text().replace('<', "("); // they read "<mask>" in a text as the token
        let ids = bpe.encode(&text)?;
        let encoding = theirs.encode(text.as_str(), false).expect("any text can be encoded");
        let expected: Vec<i32> = encoding.get_ids().iter().map(|&id| id as i32).collect();

        assert_eq!(expected, ids, "{text:?}");
        assert_eq!(ids, again.encode(&text)?);
    }
    Ok(())
}

#[test]
fn files_survive() -> Result<()> {
    let path = std::env::temp_dir().join(format!("fast_tokenizer-{}.json", std::process::id()));
    let bpe = train(&CORPUS, 300, 1)?;
    bpe.save(&path)?;
    let again = Bpe::load(&path);
    let _ = std::fs::remove_file(&path);

    assert_eq!(bpe.to_json(), again?.to_json());
    Ok(())
}

#[test]
fn special_and_broken_parts_are_left_out_when_decoding() -> Result<()> {
    let bpe = train(&CORPUS, 300, 1)?;
    let fox = bpe.encode("fox")?;
    let framed: Vec<i32> = [2, 0].into_iter().chain(fox).chain([0, 3, 1]).collect();
    let half = &train(&[], 260, 1)?.encode("é")?[..1];

    assert_eq!("fox", bpe.decode(&framed)?);
    assert_eq!("\u{fffd}", bpe.decode(half)?);
    Ok(())
}

#[test]
fn long_texts_take_no_quadratic_time() -> Result<()> {
    let bpe = train(&CORPUS, 330, 1)?;
    for run in ["a", " ", "fox", "'", "香"] {
        let text = run.repeat(1 << 16) + "x";

        assert_eq!(text, bpe.decode(&bpe.encode(&text)?)?);
    }
    Ok(())
}
