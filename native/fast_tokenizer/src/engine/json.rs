//! Reads a `tokenizer.json` and tells whether this engine gives the ids that it describes.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::pattern::Pattern;
use super::spec::{Added, Resolved, Spec, Unfit, resolve};

#[derive(Deserialize)]
struct Token {
    id: u32,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

/// Every model has a kind and the kinds share few fields; those of others are not looked at.
#[derive(Deserialize)]
struct Model {
    r#type: Option<String>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

/// The two spellings of merges: `["a", "b"]`, and the older `"a b"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

impl Spec {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// `Unfit::Broken` names an entry that no library could load; `Unfit::Other` tells what this
    /// engine does not do.
    pub fn from_json(text: &str) -> Result<Self, Unfit> {
        Self::from_value(&serde_json::from_str(text).map_err(|e| Unfit::Broken(e.to_string()))?)
    }

    /// Reads a `tokenizer.json` that is parsed already.
    ///
    /// # Errors
    ///
    /// As [`Spec::from_json`].
    pub fn from_value(file: &Value) -> Result<Self, Unfit> {
        // Truncation and padding are those of a batch that is served, and change no ids here.
        if !file["normalizer"].is_null() {
            return Unfit::other("it has a normalizer");
        }
        let Some(entries) = file.get("model") else {
            return Unfit::broken("model: missing");
        };
        let model: Model = read(entries, || "model".into())?;
        if model.r#type.as_deref() != Some("BPE") {
            return Unfit::other("the model is not named BPE");
        }
        let part = |part: &Option<String>| part.as_deref().is_none_or(str::is_empty);
        if model.dropout.is_some_and(|rate| rate != 0.0)
            || !part(&model.continuing_subword_prefix)
            || !part(&model.end_of_word_suffix)
            || model.byte_fallback
        {
            return Unfit::other("the model has dropout, a prefix, a suffix or byte fallback");
        }
        if file["decoder"].get("type").and_then(Value::as_str) != Some("ByteLevel") {
            return Unfit::other("the decoder is not ByteLevel");
        }
        let (pattern, prefix_space) = pattern(&file["pre_tokenizer"])?;
        let vocabulary: HashMap<String, u32> = read(&entries["vocab"], || "model.vocab".into())?;
        let merges = merges(&entries["merges"])?;
        let Resolved { tokens, rules, bytes } = resolve(&vocabulary, &merges)?;
        let added = added(&file["added_tokens"], &vocabulary)?;
        let (before, after) = template(&file["post_processor"])?;
        let ignore_merges = model.ignore_merges;
        Ok(Self {
            tokens,
            rules,
            bytes,
            pattern,
            prefix_space,
            ignore_merges,
            added,
            before,
            after,
            parse_special: false,
        })
    }
}

/// An entry, of which an error tells the name.
fn read<'a, T: Deserialize<'a>>(
    value: &'a Value,
    name: impl FnOnce() -> String,
) -> Result<T, Unfit> {
    T::deserialize(value).map_err(|error| Unfit::Broken(format!("{}: {error}", name())))
}

fn merges(value: &Value) -> Result<Vec<(String, String)>, Unfit> {
    let Value::Array(entries) = value else {
        return Unfit::broken("model.merges: expected a list");
    };
    let mut merges = Vec::with_capacity(entries.len());
    for (rank, entry) in entries.iter().enumerate() {
        let pair = match Merge::deserialize(entry) {
            Ok(Merge::Pair(left, right)) => Some((left, right)),
            Ok(Merge::Line(line)) => match line.split(' ').collect::<Vec<_>>()[..] {
                [left, right] => Some((left.to_owned(), right.to_owned())),
                _ => None,
            },
            Err(_) => None,
        };
        match pair {
            Some(pair) => merges.push(pair),
            None => {
                return Unfit::broken(format!("model.merges[{rank}]: expected a pair of tokens"));
            }
        }
    }
    Ok(merges)
}

/// The cut, and whether a blank is put in front.
fn pattern(value: &Value) -> Result<(Pattern, bool), Unfit> {
    let kind = |value: &Value| value.get("type").and_then(Value::as_str).map(str::to_owned);
    let flag = |value: &Value, name: &str| value.get(name).and_then(Value::as_bool);
    let unknown = || Unfit::other("the pre-tokenizer is none that is known");
    match kind(value).as_deref() {
        Some("ByteLevel") => {
            let Some(prefix_space) = flag(value, "add_prefix_space") else {
                return unknown();
            };
            let regex = flag(value, "use_regex").unwrap_or(true);
            Ok((if regex { Pattern::Gpt2 } else { Pattern::Whole }, prefix_space))
        }
        Some("Sequence") => {
            let steps = value.get("pretokenizers").and_then(Value::as_array);
            let Some([split, bytes]) = steps.map(Vec::as_slice) else {
                return unknown();
            };
            if kind(split).as_deref() != Some("Split")
                || kind(bytes).as_deref() != Some("ByteLevel")
                || flag(bytes, "add_prefix_space") != Some(false)
                || flag(bytes, "use_regex") != Some(false)
            {
                return unknown();
            }
            // The patterns cover every text, so removing what is not matched removes nothing.
            let behavior = split.get("behavior").and_then(Value::as_str);
            match (behavior, flag(split, "invert")) {
                (Some("Isolated"), Some(false)) | (Some("Removed"), Some(true)) => {}
                _ => return unknown(),
            }
            let regex = split.pointer("/pattern/Regex").and_then(Value::as_str);
            match regex.and_then(Pattern::from_regex) {
                Some(pattern) => Ok((pattern, false)),
                None => Unfit::other("the splitting regular expression is none that is known"),
            }
        }
        _ => unknown(),
    }
}

/// Added tokens with the ids that the reference gives them, which are not always the file's.
fn added(tokens: &Value, vocabulary: &HashMap<String, u32>) -> Result<Vec<Added>, Unfit> {
    let tokens = match tokens {
        Value::Null => &[],
        Value::Array(tokens) => &tokens[..],
        _ => return Unfit::broken("added_tokens: expected a list"),
    };
    let mut next = vocabulary.len() as u32;
    let (mut added, mut seen) = (Vec::with_capacity(tokens.len()), HashSet::new());
    for (i, token) in tokens.iter().enumerate() {
        let token: Token = read(token, || format!("added_tokens[{i}]"))?;
        if token.content.is_empty() {
            continue;
        }
        if !seen.insert(token.content.clone()) {
            return Unfit::other(format!("added_tokens[{i}] ({:?}) comes twice", token.content));
        }
        if token.single_word {
            return Unfit::other(format!("added_tokens[{i}] matches single words only"));
        }
        let id = vocabulary.get(&token.content).copied().unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        if id != token.id {
            return Unfit::other(format!("added_tokens[{i}] says id {} and gets {id}", token.id));
        }
        added.push(Added {
            id,
            content: token.content,
            special: token.special,
            normalized: token.normalized,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
        });
    }
    let fresh = vocabulary.len() as u32..next;
    match vocabulary.iter().find(|(_, id)| fresh.contains(id)) {
        Some((token, id)) => {
            Unfit::other(format!("id {id} of {token:?} is given to an added token"))
        }
        None => Ok(added),
    }
}

/// Ids before and after a single text.
fn template(value: &Value) -> Result<(Vec<u32>, Vec<u32>), Unfit> {
    let unknown = || Unfit::other("the post-processor is none that is known");
    match value.get("type").and_then(Value::as_str) {
        None if value.is_null() => Ok((Vec::new(), Vec::new())),
        Some("ByteLevel") => Ok((Vec::new(), Vec::new())),
        Some("Sequence") => {
            let steps = value.get("processors").and_then(Value::as_array);
            let [first, second] = steps.map(Vec::as_slice).unwrap_or_default() else {
                return unknown();
            };
            if first.get("type").and_then(Value::as_str) != Some("ByteLevel") {
                return unknown();
            }
            template(second)
        }
        Some("TemplateProcessing") => {
            let (mut before, mut after, mut seen) = (Vec::new(), Vec::new(), false);
            for piece in value.get("single").and_then(Value::as_array).into_iter().flatten() {
                if piece.pointer("/Sequence/id").and_then(Value::as_str) == Some("A") && !seen {
                    seen = true;
                    continue;
                }
                let name = piece.pointer("/SpecialToken/id").and_then(Value::as_str);
                let token =
                    name.and_then(|name| value.get("special_tokens")?.get(name)?.get("ids"));
                let Some(ids) = token.and_then(Value::as_array) else {
                    return unknown();
                };
                let side = if seen { &mut after } else { &mut before };
                for id in ids {
                    match id.as_u64().and_then(|id| u32::try_from(id).ok()) {
                        Some(id) => side.push(id),
                        None => return unknown(),
                    }
                }
            }
            if seen { Ok((before, after)) } else { unknown() }
        }
        _ => unknown(),
    }
}
