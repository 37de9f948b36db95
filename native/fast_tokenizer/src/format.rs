//! Reads and writes `tokenizer.json`.
//!
//! The file is Hugging Face's, but only as this crate writes it: everything besides vocabulary and
//! merges has one permitted value. A file from elsewhere may ask for expressions, normalizers or
//! templates that run on every text; none of that is ever interpreted.

use serde_json::{Map, Value, json};

use crate::{Error, Result, SPECIAL_TOKENS};

/// A merge: left and right token.
pub(crate) type Merge = (String, String);

/// The file without vocabulary and merges.
fn skeleton() -> Value {
    let added_tokens: Vec<Value> = (SPECIAL_TOKENS.iter().enumerate())
        .map(|(id, content)| {
            json!({
                "id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            })
        })
        .collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens,
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false,
        },
    })
}

/// The file's text; tokens are in the order of their ids.
pub(crate) fn write(tokens: Vec<String>, merges: &[Merge]) -> String {
    let mut file = skeleton();
    let vocab: Map<String, Value> =
        (tokens.into_iter().enumerate()).map(|(id, token)| (token, id.into())).collect();
    file["model"]["vocab"] = vocab.into();
    file["model"]["merges"] = merges.iter().map(|(a, b)| json!([a, b])).collect();
    file.to_string()
}

/// Tokens in the order of their ids, and merges in the order of their ranks.
pub(crate) fn read(text: &str) -> Result<(Vec<String>, Vec<Merge>)> {
    let mut file: Value = serde_json::from_str(text)?;
    let model = file.get_mut("model").ok_or_else(|| Error::entry("model", "missing"))?;
    let parts = parts(model)?;
    compare("", &skeleton(), &file)?;
    Ok(parts)
}

/// Takes tokens and merges out of the entry `model`, which is also what the engine serializes to.
pub(crate) fn parts(model: &mut Value) -> Result<(Vec<String>, Vec<Merge>)> {
    let mut take = |entry: &str| {
        model
            .as_object_mut()
            .and_then(|model| model.remove(entry))
            .ok_or_else(|| Error::entry(format!("model.{entry}"), "missing"))
    };
    Ok((read_vocab(take("vocab")?)?, read_merges(take("merges")?)?))
}

/// Names the first entry that differs.
fn compare(path: &str, expected: &Value, found: &Value) -> Result<()> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let at = |key: &str| if path.is_empty() { key.into() } else { format!("{path}.{key}") };
            if let Some(key) = found.keys().find(|key| !expected.contains_key(*key)) {
                return Err(Error::entry(shorten(&at(key)), "not an entry of this file"));
            }
            expected.iter().try_for_each(|(key, expected)| match found.get(key) {
                Some(found) => compare(&at(key), expected, found),
                None => Err(Error::entry(at(key), "missing")),
            })
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            (0..).zip(expected.iter().zip(found)).try_for_each(|(i, (expected, found))| {
                compare(&format!("{path}[{i}]"), expected, found)
            })
        }
        _ if expected == found => Ok(()),
        _ => Err(Error::entry(
            path,
            format!(
                "expected {}, got {}",
                shorten(&expected.to_string()),
                shorten(&found.to_string())
            ),
        )),
    }
}

fn read_vocab(vocab: Value) -> Result<Vec<String>> {
    let error = |problem: String| Error::entry("model.vocab", problem);
    let Value::Object(vocab) = vocab else {
        return Err(error(format!("expected an object, got {}", shorten(&vocab.to_string()))));
    };
    let mut tokens = vec![None; vocab.len()];
    for (token, id) in vocab {
        let place = id.as_u64().and_then(|id| tokens.get_mut(usize::try_from(id).ok()?));
        match place {
            Some(place @ None) => *place = Some(token),
            Some(Some(other)) => {
                let (token, other) = (shorten(&token), shorten(other));
                return Err(error(format!("{token:?} and {other:?} have the same id {id}")));
            }
            None => {
                let (token, id) = (shorten(&token), shorten(&id.to_string()));
                let last = tokens.len() - 1;
                return Err(error(format!(
                    "expected ids 0 to {last}, each once, got {id} for {token:?}"
                )));
            }
        }
    }
    Ok(tokens.into_iter().flatten().collect()) // as many places as tokens: none is empty
}

fn read_merges(merges: Value) -> Result<Vec<Merge>> {
    let error = |i: usize, found: &Value| {
        let found = shorten(&found.to_string());
        Error::entry(format!("model.merges[{i}]"), format!("expected [left, right], got {found}"))
    };
    let Value::Array(merges) = merges else {
        let found = shorten(&merges.to_string());
        return Err(Error::entry("model.merges", format!("expected an array, got {found}")));
    };
    (merges.into_iter().enumerate())
        .map(|(i, merge)| match merge.as_array().map(Vec::as_slice) {
            Some([Value::String(a), Value::String(b)]) => Ok((a.clone(), b.clone())),
            _ => Err(error(i, &merge)),
        })
        .collect()
}

/// At most 60 characters: hostile files may hold entries of any length.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}
