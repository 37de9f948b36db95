//! The trained tokenizer.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rayon::{ThreadPoolBuilder, prelude::*};
use tokenizers::Model;
use tokenizers::models::bpe::{BPE, Vocab};

use crate::format::{self, Merge, shorten};
use crate::{Error, MAX_VOCAB, MIN_VOCAB, Result, SPECIAL_TOKENS, alphabet, split};

/// Largest file that is read; a vocabulary of `MAX_VOCAB` tokens takes about half of it.
const MAX_FILE: u64 = 1 << 26;

/// Starting threads costs more than encoding less than so many bytes.
const PARALLEL_BYTES: usize = 1 << 18;

/// A byte-level BPE tokenizer, ready to use; made by [`crate::Trainer`] or [`Bpe::load`].
#[derive(Debug)]
pub struct Bpe {
    model: BPE,
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
            return error(format!("holds {found} tokens; want {MIN_VOCAB} to {MAX_VOCAB}"));
        }
        let mut bytes: Vec<Box<[u8]>> = Vec::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate() {
            bytes.push(match (SPECIAL_TOKENS.get(id), alphabet::to_bytes(token)) {
                (Some(name), _) if name == token => name.as_bytes().into(),
                (Some(name), _) => {
                    return error(format!("token {id} is {:?}; want {name:?}", shorten(token)));
                }
                (None, Some(bytes)) if !bytes.is_empty() => bytes,
                (None, _) => {
                    return error(format!("{:?} is not in the byte alphabet", shorten(token)));
                }
            });
        }
        let singles = bytes.iter().filter(|bytes| bytes.len() == 1).count();
        if singles != 256 {
            return error(format!("has a token for {singles} of the 256 bytes; want all"));
        }
        let vocab: Vocab = (0..).zip(tokens).map(|(id, token)| (token, id)).collect();
        let ordinary = |token: &str| vocab.get(token).is_some_and(|&id| !is_special(id as usize));
        for (i, (a, b)) in merges.iter().enumerate() {
            if let Some(token) = [a, b, &format!("{a}{b}")].into_iter().find(|t| !ordinary(t)) {
                let problem = format!("{:?} is not an ordinary token", shorten(token));
                return Err(Error::entry(format!("model.merges[{i}]"), problem));
            }
        }
        let model = BPE::builder()
            .vocab_and_merges(vocab, merges.clone())
            .build()
            .map_err(|error| Error::Engine(error.to_string()))?;
        Ok(Self { model, tokens: bytes, merges })
    }

    /// Takes over what the engine has learned.
    pub(crate) fn from_engine(model: &BPE) -> Result<Self> {
        let (tokens, merges) = format::parts(&mut serde_json::to_value(model)?)?;
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
    /// None that is known; the engine's signature allows one.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        for word in split::words(text) {
            let tokens = self.model.tokenize(&alphabet::to_chars(word.as_bytes()));
            let tokens = tokens.map_err(|error| Error::Engine(error.to_string()))?;
            ids.extend(tokens.iter().map(|token| token.id as i32)); // at most MAX_VOCAB
        }
        Ok(ids)
    }

    /// Ids of each of several texts, by several threads if that pays; 0 threads are all.
    ///
    /// # Errors
    /// If there are no threads.
    pub fn encode_batch<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        threads: usize,
    ) -> Result<Vec<Vec<i32>>> {
        let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
        if bytes < PARALLEL_BYTES {
            return texts.iter().map(|text| self.encode(text.as_ref())).collect();
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| texts.par_iter().map(|text| self.encode(text.as_ref())).collect())
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

fn is_special(id: usize) -> bool {
    id < SPECIAL_TOKENS.len()
}
