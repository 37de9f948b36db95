//! Tokens, their ids and their merges.

use serde_json::{Map, Value};

use super::{Problem, number};
use crate::format::shorten;

/// Ids that no token has, besides as many as there are tokens.
const GAPS: usize = 1 << 16;
/// Longest token of Unigram in characters, whose tree is as deep and is let go recursively.
const TOKEN: usize = 1 << 10;
/// Bytes of all added tokens together: finding them takes some hundred times as much memory.
const ADDED: usize = 1 << 23;

/// Looks at vocabulary, merges and added tokens; all ids are below the result.
pub(super) fn check(file: &Value) -> Result<u64, Problem> {
    let model = file.get("model").and_then(Value::as_object);
    let vocab = model.and_then(|model| model.get("vocab"));
    let known = match vocab {
        Some(Value::Object(vocab)) => vocab.len(),
        Some(Value::Array(vocab)) => vocab.len(),
        _ => 0,
    };
    let added = file.get("added_tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let ids = ((known + added.len()) * 2 + GAPS) as u64;
    if let Some(vocab) = vocab {
        vocabulary(vocab, ids)?;
    }
    if let (Some(Value::Object(vocab)), Some(model)) = (vocab, model) {
        merges(vocab, model)?;
    }
    for (i, token) in added.iter().enumerate() {
        added_token(token)
            .map_err(|(key, problem)| (format!("added_tokens[{i}].{key}"), problem))?;
    }
    let contents = added.iter().filter_map(|token| token.get("content")?.as_str());
    let size: usize = contents.map(str::len).sum();
    if size > ADDED {
        let problem = format!("expected at most {ADDED} bytes of text, got {size}");
        return Err(("added_tokens".into(), problem));
    }
    Ok(ids)
}

/// Ids, or for Unigram the tokens themselves.
fn vocabulary(vocab: &Value, ids: u64) -> Result<(), Problem> {
    match vocab {
        Value::Object(vocab) => vocab.iter().try_for_each(|(token, id)| {
            let at = || format!("model.vocab[{:?}]", shorten(token));
            number(id, 0, ids - 1).map_err(|problem| (at(), problem))
        }),
        Value::Array(vocab) => vocab.iter().enumerate().try_for_each(|(i, entry)| {
            let size =
                entry.get(0).and_then(Value::as_str).map_or(0, |token| token.chars().count());
            if size <= TOKEN {
                return Ok(());
            }
            let problem = format!("expected at most {TOKEN} characters, got {size}");
            Err((format!("model.vocab[{i}]"), problem))
        }),
        _ => Ok(()),
    }
}

/// All that both sides read of an added token.
fn added_token(token: &Value) -> Result<(), (&'static str, String)> {
    let found = |key| token.get(key).unwrap_or(&Value::Null);
    let problem = |key, expected| {
        Err((key, format!("expected {expected}, got {}", shorten(&found(key).to_string()))))
    };
    if !found("content").is_string() {
        return problem("content", "a text");
    }
    let flags = ["single_word", "lstrip", "rstrip", "normalized", "special"];
    match flags.into_iter().find(|key| !found(key).is_boolean()) {
        Some(key) => problem(key, "true or false"),
        None => Ok(()),
    }
}

/// That merges are of tokens and give tokens.
fn merges(vocab: &Map<String, Value>, model: &Map<String, Value>) -> Result<(), Problem> {
    let list = match (model.get("merges"), model.get("type").and_then(Value::as_str)) {
        (Some(Value::Array(list)), _) => list,
        (found, Some("BPE")) => {
            let found = shorten(&found.unwrap_or(&Value::Null).to_string());
            return Err(("model.merges".into(), format!("expected a list, got {found}")));
        }
        _ => return Ok(()),
    };
    let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or("");
    let mut joined = String::new();
    for (rank, merge) in list.iter().enumerate() {
        let at = || format!("model.merges[{rank}]");
        let pair = match merge {
            Value::Array(pair) => pair.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
            Value::String(line) => Some(line.split(' ').collect()),
            _ => None,
        };
        let Some([left, right]) = pair.as_deref() else {
            let found = shorten(&merge.to_string());
            return Err((at(), format!("expected a pair of tokens, got {found}")));
        };
        let Some(rest) = right.get(prefix.len()..) else {
            return Err((at(), format!("{:?} does not begin with {prefix:?}", shorten(right))));
        };
        joined.clear();
        joined.push_str(left);
        joined.push_str(rest);
        if let Some(token) =
            [left, right, &joined[..]].into_iter().find(|t| !vocab.contains_key(*t))
        {
            return Err((at(), format!("{:?} is not in model.vocab", shorten(token))));
        }
    }
    Ok(())
}
