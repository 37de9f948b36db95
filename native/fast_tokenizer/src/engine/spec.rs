//! What a byte-level BPE tokenizer consists of, checked.

use std::collections::{HashMap, HashSet};

use super::merges::{ID_LIMIT, RANK_LIMIT};
use super::pattern::Pattern;
use super::train::Learned;
use crate::alphabet;

/// A token that is looked for in the text before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub content: String,
    /// Left out of decoded text on request.
    pub special: bool,
    /// Looked for only after those that are not normalized.
    pub normalized: bool,
    /// Takes the white space before it along.
    pub lstrip: bool,
    /// Takes the white space after it along.
    pub rstrip: bool,
}

/// Everything that decides ids.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Spelling of each id of the vocabulary, None where there is a gap.
    pub tokens: Vec<Option<String>>,
    /// Rules by rank: left, right, result.
    pub rules: Vec<(u32, u32, u32)>,
    /// Id of each byte.
    pub bytes: [u32; 256],
    /// How text is cut.
    pub pattern: Pattern,
    /// Whether a segment that does not begin with a blank gets one.
    pub prefix_space: bool,
    /// Whether a piece that is in the vocabulary is its own id, whatever the merges give.
    pub ignore_merges: bool,
    /// Tokens looked for first.
    pub added: Vec<Added>,
    /// Ids put before a text where the template is asked for.
    pub before: Vec<u32>,
    /// Ids put after it.
    pub after: Vec<u32>,
    /// Whether the names of special tokens in a text are these tokens, or text like any other.
    pub parse_special: bool,
}

impl Spec {
    /// What was just learned, with nothing around it.
    pub fn from_learned(learned: Learned, pattern: Pattern) -> Self {
        let mut bytes = [0; 256];
        for (id, token) in (0..).zip(&learned.tokens) {
            if let Some(&[byte]) = alphabet::to_bytes(token).as_deref() {
                bytes[usize::from(byte)] = id;
            }
        }
        Self {
            tokens: learned.tokens.into_iter().map(Some).collect(),
            rules: learned.rules,
            bytes,
            pattern,
            prefix_space: false,
            ignore_merges: false,
            added: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            parse_special: false,
        }
    }

    /// Ids of special tokens that no text may come to.
    pub(super) fn reserved(&self) -> HashSet<u32> {
        let special = self.added.iter().filter(|token| token.special && !self.parse_special);
        special.map(|token| token.id).collect()
    }
}

/// Why there is no engine for a description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The description contradicts itself: nobody can load it.
    #[error("{0}")]
    Broken(String),
    /// It is sound as far as looked at, but not byte-level BPE as this engine knows it.
    #[error("{0}")]
    Other(String),
}

impl Unfit {
    pub(super) fn other<T>(reason: impl Into<String>) -> Result<T, Self> {
        Err(Self::Other(reason.into()))
    }

    pub(super) fn broken<T>(reason: impl Into<String>) -> Result<T, Self> {
        Err(Self::Broken(reason.into()))
    }
}

/// Vocabulary and rules by number.
pub(super) struct Resolved {
    pub tokens: Vec<Option<String>>,
    pub rules: Vec<(u32, u32, u32)>,
    pub bytes: [u32; 256],
}

/// Replaces spellings by ids.
pub(super) fn resolve(
    vocabulary: &HashMap<String, u32>,
    merges: &[(String, String)],
) -> Result<Resolved, Unfit> {
    let size = vocabulary.values().max().map_or(0, |&id| id as usize + 1);
    if size >= ID_LIMIT as usize || merges.len() >= RANK_LIMIT as usize {
        return Unfit::other(format!("{size} ids and {} merges are too many", merges.len()));
    }
    let mut tokens = vec![None; size];
    for (spelling, &id) in vocabulary {
        if let Some(other) = tokens[id as usize].replace(spelling.clone()) {
            return Unfit::other(format!("id {id} belongs to both {other:?} and {spelling:?}"));
        }
    }
    let mut bytes = [0; 256];
    for (byte, id) in (0..=255).zip(&mut bytes) {
        let spelling = alphabet::character(byte).to_string();
        let Some(&found) = vocabulary.get(&spelling) else {
            return Unfit::other(format!(
                "byte {byte:#04x} ({spelling:?}) is not in the vocabulary"
            ));
        };
        *id = found;
    }
    let mut rules = Vec::with_capacity(merges.len());
    let mut joined = String::new();
    for (rank, (left, right)) in merges.iter().enumerate() {
        let id = |part: &str| {
            vocabulary.get(part).copied().ok_or_else(|| {
                Unfit::Broken(format!(
                    "model.merges[{rank}] ({left:?}, {right:?}): {part:?} is not in model.vocab"
                ))
            })
        };
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        rules.push((id(left)?, id(right)?, id(&joined)?));
    }
    Ok(Resolved { tokens, rules, bytes })
}
