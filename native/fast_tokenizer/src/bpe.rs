//! The trained tokenizer.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::engine::{self, Batch, Engine, Learned, Pattern, Spec};
use crate::format::{self, Merge, shorten};
use crate::{Error, MAX_VOCAB, MIN_VOCAB, Result, SPECIAL_TOKENS, alphabet};

/// Largest file that is read; a vocabulary of `MAX_VOCAB` tokens takes about half of it.
const MAX_FILE: u64 = 1 << 26;

/// A byte-level BPE tokenizer, ready to use; made by [`crate::Trainer`] or [`Bpe::load`].
#[derive(Debug)]
pub struct Bpe {
    engine: Engine,
    /// Bytes of each token, its name where it is special.
    tokens: Vec<Box<[u8]>>,
    merges: Vec<Merge>,
}

impl Bpe {
    /// Checks all that the engine takes for granted, then builds it.
    fn new(tokens: Vec<String>, merges: Vec<Merge>) -> Result<Self> {
        let error = |problem| Err(Error::entry("model.vocab", problem));
        if !(MIN_VOCAB..=MAX_VOCAB).contains(&tokens.len()) {
            let found = tokens.len();
            return error(format!("expected {MIN_VOCAB} to {MAX_VOCAB} tokens, got {found}"));
        }
        let mut bytes: Vec<Box<[u8]>> = Vec::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate() {
            bytes.push(match (SPECIAL_TOKENS.get(id), alphabet::to_bytes(token)) {
                (Some(name), _) if name == token => name.as_bytes().into(),
                (Some(name), _) => {
                    return error(format!(
                        "expected {name:?} as token {id}, got {:?}",
                        shorten(token)
                    ));
                }
                (None, Some(bytes)) if !bytes.is_empty() => bytes,
                (None, _) => {
                    return error(format!("{:?} is not in the byte alphabet", shorten(token)));
                }
            });
        }
        let singles = bytes.iter().filter(|bytes| bytes.len() == 1).count();
        if singles != 256 {
            return error(format!("expected a token for each of the 256 bytes, got {singles}"));
        }
        let ids: HashMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
        let rule = |(i, (a, b)): (usize, &Merge)| {
            let id = |token: &str| match ids.get(token) {
                Some(&id) if !is_special(id as usize) => Ok(id),
                _ => {
                    let problem = format!("{:?} is not an ordinary token", shorten(token));
                    Err(Error::entry(format!("model.merges[{i}]"), problem))
                }
            };
            Ok((id(a)?, id(b)?, id(&format!("{a}{b}"))?))
        };
        let rules = merges.iter().enumerate().map(rule).collect::<Result<_>>()?;
        let spec = Spec::from_learned(Learned { tokens, rules }, Pattern::Gpt2);
        let engine = Engine::new(spec).map_err(|error| Error::Engine(error.to_string()))?;
        Ok(Self { engine, tokens: bytes, merges })
    }

    /// Takes over what was learned.
    pub(crate) fn from_learned(Learned { tokens, rules }: Learned) -> Result<Self> {
        let spelled = |id: u32| tokens[id as usize].clone();
        let merges = rules.iter().map(|&(a, b, _)| (spelled(a), spelled(b))).collect();
        Self::new(tokens, merges)
    }

    /// Reads the text of a `tokenizer.json` that [`Bpe::to_json`] wrote.
    ///
    /// # Errors
    /// If it is not JSON or holds anything else; the message names the entry.
    pub fn from_json(text: &str) -> Result<Self> {
        let (tokens, merges) = format::read(text)?;
        Self::new(tokens, merges)
    }

    /// The text of a `tokenizer.json`, as Hugging Face tokenizers read it.
    pub fn to_json(&self) -> String {
        let names = SPECIAL_TOKENS.map(String::from).into_iter();
        let ordinary = self.tokens.iter().skip(SPECIAL_TOKENS.len());
        let tokens = names.chain(ordinary.map(|bytes| alphabet::to_chars(bytes)));
        format::write(tokens.collect(), &self.merges)
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// If the file is missing, damaged, not ours or too large; the message names file and entry.
    pub fn load(path: &Path) -> Result<Self> {
        let read = || {
            // Asked before it is opened: opening a pipe would wait for its writer.
            let sane = std::fs::metadata(path).map(|is| is.is_file() && is.len() <= MAX_FILE)?;
            let mut text = String::new();
            if sane {
                File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
            }
            Ok(sane.then_some(text))
        };
        let text = read().map_err(|source| Error::Io { path: path.into(), source })?;
        text.ok_or(Error::NotAFile(MAX_FILE))
            .and_then(|text| Self::from_json(&text))
            .map_err(|source| Error::File { path: path.into(), source: source.into() })
    }

    /// Writes a `tokenizer.json`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.to_json())
            .map_err(|source| Error::Io { path: path.into(), source })
    }

    /// Number of tokens, the special ones included.
    pub fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    /// Ids of a text, none of them special.
    ///
    /// # Errors
    /// None that is known.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        let mut ids = Vec::new();
        self.engine.encode_into(text.as_bytes(), false, &mut ids);
        Ok(signed(ids))
    }

    /// Ids of each of several texts, by several threads if that pays; 0 threads are all.
    ///
    /// # Errors
    /// None that is known.
    pub fn encode_batch<S: AsRef<str>>(
        &self,
        texts: &[S],
        threads: usize,
    ) -> Result<Vec<Vec<i32>>> {
        let batch = self.encode_together(texts, threads);
        Ok(batch.rows().map(|row| signed(row.to_vec())).collect())
    }

    /// The same, one after the other.
    pub fn encode_together<S: AsRef<str>>(&self, texts: &[S], threads: usize) -> Batch {
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_ref().as_bytes()).collect();
        self.engine.encode_batch(&texts, false, engine::threads(threads))
    }

    /// Text of ids without the special ones; bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// If an id is not in the vocabulary.
    pub fn decode(&self, ids: &[i32]) -> Result<String> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            let token = self.token(id)?;
            if !is_special(id as usize) {
                bytes.extend_from_slice(token);
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Bytes of one token, its name if it is special.
    ///
    /// # Errors
    /// If the id is not in the vocabulary.
    pub fn token(&self, id: i32) -> Result<&[u8]> {
        let size = self.vocab_size();
        usize::try_from(id)
            .ok()
            .and_then(|index| self.tokens.get(index))
            .map(AsRef::as_ref)
            .ok_or(Error::UnknownId { id, size })
    }
}

/// The same numbers, all below `MAX_VOCAB`, in the same memory.
fn signed(ids: Vec<u32>) -> Vec<i32> {
    ids.into_iter().map(|id| id as i32).collect()
}

fn is_special(id: usize) -> bool {
    id < SPECIAL_TOKENS.len()
}
