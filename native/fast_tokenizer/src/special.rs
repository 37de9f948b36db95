//! Special tokens in a text are text: no text comes to one of their ids, unless that is asked for.
//!
//! The reference has an option not to look for their names. Its models still come to them by
//! themselves: a name is an entry of the vocabulary like any other, so that a word, a piece of
//! Unigram or the result of merges may equal it. A second model, without them, reads texts then.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::{Model, ModelWrapper, Token};

use crate::{Error, Result};

/// Stands around the name of a token that no text may come to. It is no character, so that it
/// stands in no text but one that was made to hold it, which is refused.
const NOT_A_CHARACTER: char = '\u{10FFFF}';

/// The special tokens of a file.
fn tokens(file: &Value) -> impl Iterator<Item = &Value> {
    let added = file.get("added_tokens").and_then(Value::as_array);
    let special = |token: &&Value| token.get("special").and_then(Value::as_bool) == Some(true);
    added.into_iter().flatten().filter(special)
}

/// Names of the special tokens of a file and their ids.
pub(crate) fn ids(file: &Value) -> HashMap<String, u32> {
    let pair = |token: &Value| {
        let id = u32::try_from(token.get("id")?.as_u64()?).ok()?;
        Some((token.get("content")?.as_str()?.to_owned(), id))
    };
    tokens(file).filter_map(pair).collect()
}

/// A model that knows all tokens by their names, and one that reads texts.
#[derive(Debug, Deserialize)]
pub(crate) struct Worded {
    names: ModelWrapper,
    /// Without special tokens; None where the other never comes to one.
    text: Option<ModelWrapper>,
    /// Ids that the second model must not come to.
    reserved: HashSet<u32>,
}

impl Worded {
    /// Puts what is read as this in place of a file's model.
    ///
    /// # Errors
    /// A special token is the only one of a character, which then could not be written.
    pub(crate) fn prepare(file: &mut Value, parse_special: bool) -> Result<()> {
        let names = file.get("model").cloned().ok_or_else(|| Error::entry("model", "missing"))?;
        let special: HashSet<&str> =
            tokens(file).filter_map(|token| token.get("content")?.as_str()).collect();
        let (mut text, mut reserved) = (Value::Null, Vec::new());
        if !parse_special && reaches(&names, &special)? {
            text = without(names.clone(), &special);
            let unknown = unknown(&names);
            let others = ids(file).into_iter().filter(|(name, _)| Some(name.as_str()) != unknown);
            reserved = others.map(|(_, id)| id).collect();
        }
        file["model"] = json!({"names": names, "text": text, "reserved": reserved});
        Ok(())
    }
}

impl Model for Worded {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, sequence: &str) -> tokenizers::Result<Vec<Token>> {
        let Some(model) = &self.text else {
            return self.names.tokenize(sequence);
        };
        let tokens = model.tokenize(sequence)?;
        let forged = |token: &Token| self.reserved.contains(&token.id);
        if sequence.contains(NOT_A_CHARACTER) && tokens.iter().any(forged) {
            return Err("the text spells a special token by U+10FFFF, which is no character".into());
        }
        Ok(tokens)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.names.token_to_id(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.names.id_to_token(id)
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        self.names.get_vocab()
    }

    fn get_vocab_size(&self) -> usize {
        self.names.get_vocab_size()
    }

    fn save(&self, folder: &Path, prefix: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        self.names.save(folder, prefix)
    }

    fn get_trainer(&self) -> Self::Trainer {
        self.names.get_trainer()
    }
}

/// The name of the token of what the vocabulary lacks: texts come to it by holding such.
fn unknown(model: &Value) -> Option<&str> {
    let by_id = || {
        let id = usize::try_from(model.get("unk_id")?.as_u64()?).ok()?;
        model.get("vocab")?.get(id)?.get(0)?.as_str()
    };
    model.get("unk_token").and_then(Value::as_str).or_else(by_id)
}

/// Whether a model can come to a special token by itself.
fn reaches(model: &Value, special: &HashSet<&str>) -> Result<bool> {
    let Some(Value::Object(vocab)) = model.get("vocab") else {
        let pieces = model.get("vocab").and_then(Value::as_array);
        let mut names = pieces.into_iter().flatten().filter_map(|piece| piece.get(0)?.as_str());
        return Ok(names.any(|name| special.contains(name)));
    };
    let known: Vec<&&str> = special.iter().filter(|name| vocab.contains_key(**name)).collect();
    let Some(merges) = model.get("merges").and_then(Value::as_array) else {
        return Ok(!known.is_empty());
    };
    // Merges begin with single characters.
    if let Some(name) = known.iter().find(|name| name.chars().nth(1).is_none()) {
        return Err(Error::entry(
            "added_tokens",
            format!(
                "{name:?} is special, and no other token spells this character; expected a longer \
                 name, or to be read with parse_special"
            ),
        ));
    }
    let whole = model.get("ignore_merges").and_then(Value::as_bool) == Some(true);
    let prefix = prefix(model);
    let made = |merge: &Value| {
        joined(merge, prefix).is_some_and(|[_, _, whole]| special.contains(&whole[..]))
    };
    Ok(whole && !known.is_empty() || merges.iter().any(made))
}

fn prefix(model: &Value) -> &str {
    model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or("")
}

/// Both sides of a merge, and what it makes.
fn joined(merge: &Value, prefix: &str) -> Option<[String; 3]> {
    let (left, right) = match merge {
        Value::String(line) => line.split_once(' ')?,
        pair => (pair.get(0)?.as_str()?, pair.get(1)?.as_str()?),
    };
    let whole = format!("{left}{}", right.strip_prefix(prefix).unwrap_or(right));
    Some([left.to_owned(), right.to_owned(), whole])
}

/// A model with the same ids in which special tokens have names that no text holds.
fn without(mut model: Value, special: &HashSet<&str>) -> Value {
    let hidden = |name: &str| match special.contains(name) {
        true => format!("{NOT_A_CHARACTER}{name}{NOT_A_CHARACTER}"),
        false => name.to_owned(),
    };
    let prefix = prefix(&model).to_owned();
    if let Some(Value::Array(merges)) = model.get_mut("merges") {
        merges.retain(|merge| {
            joined(merge, &prefix).is_none_or(|all| !all.iter().any(|t| special.contains(&t[..])))
        });
    }
    match model.get_mut("vocab") {
        Some(Value::Object(vocab)) => {
            let renamed: Map<String, Value> =
                std::mem::take(vocab).into_iter().map(|(name, id)| (hidden(&name), id)).collect();
            *vocab = renamed;
        }
        Some(Value::Array(pieces)) => {
            for piece in pieces.iter_mut().filter_map(|piece| piece.get_mut(0)) {
                if let Some(name) = piece.as_str() {
                    *piece = hidden(name).into();
                }
            }
        }
        _ => {}
    }
    if let Some(name) = model.get("unk_token").and_then(Value::as_str) {
        model["unk_token"] = hidden(name).into();
    }
    model
}
