//! Any `tokenizer.json`: by the engine where it gives the reference's ids, else by the reference.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use memmap2::Mmap;
use serde_json::Value;

use crate::checks::check;
use crate::engine::{self, Batch, Engine, Spec, Stream, Unfit, threads};
use crate::reference::{Located, Reference, Steps};
use crate::special;
use crate::spelling::Context;
use crate::{Error, Result};

/// A tokenizer from a file that others wrote.
///
/// What the file says of truncation and padding is for batches that are served with it: it is
/// never applied.
pub struct Any {
    backend: Backend,
    json: String,
    special: HashMap<String, u32>,
    batches: bool,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// By the engine where it gives the reference's ids; else by the reference whatever the file.
    pub engine: bool,
    /// Refuse a file that is not for the engine.
    pub strict: bool,
    /// Whether the name of a special token in a text is that token, or text like any other.
    pub parse_special: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self { engine: true, strict: false, parse_special: false }
    }
}

/// Who works out the ids.
#[derive(Debug)]
pub enum Backend {
    /// This crate's engine.
    Engine(Box<Engine>),
    /// The `tokenizers` crate, and why the engine does not.
    Reference(Box<Reference>, String),
}

/// The text of ids that come one after the other.
#[derive(Debug)]
pub struct AnyStream(Either);

#[derive(Debug)]
enum Either {
    Engine(Stream),
    Reference(Steps),
}

impl std::fmt::Debug for Any {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let backend = match self.backend {
            Backend::Engine(_) => "engine",
            Backend::Reference(..) => "tokenizers",
        };
        f.debug_struct("Any").field("backend", &backend).finish_non_exhaustive()
    }
}

impl Any {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// If the text is no tokenizer, or `strict` and not for the engine.
    pub fn from_json(json: String, reading: Reading) -> Result<Self> {
        let Reading { engine, strict, parse_special } = reading;
        let mut file: Value = serde_json::from_str(&json)?;
        let patterns = check(&file)?;
        let mut batches = false;
        for name in ["truncation", "padding"] {
            batches |= file.get_mut(name).is_some_and(|entry| !entry.take().is_null());
        }
        let special = special::ids(&file);
        let made = |backend, json| Self { backend, json, special, batches };
        let reason = if engine {
            let spec = Spec::from_value(&file).map(|spec| Spec { parse_special, ..spec });
            match spec.and_then(Engine::new) {
                Ok(engine) => return Ok(made(Backend::Engine(Box::new(engine)), json)),
                Err(Unfit::Broken(problem)) => return Err(Error::entry("tokenizer", problem)),
                Err(Unfit::Other(reason)) => reason,
            }
        } else {
            "the reference was asked for".to_owned()
        };
        if strict {
            return Err(Error::entry("tokenizer", format!("not for the engine: {reason}")));
        }
        let reference = Box::new(Reference::new(file, json.len(), patterns, parse_special)?);
        Ok(made(Backend::Reference(reference, reason), json))
    }

    /// Names of the file's special tokens and their ids.
    pub fn special(&self) -> &HashMap<String, u32> {
        &self.special
    }

    /// Whether the file says how batches are cut or padded, which is not applied.
    pub fn batches(&self) -> bool {
        self.batches
    }

    /// Who works out the ids.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The file's text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// One more than the highest id.
    pub fn vocab_size(&self) -> usize {
        match &self.backend {
            Backend::Engine(engine) => engine.vocab_size(),
            Backend::Reference(reference, _) => reference.vocab_size(),
        }
    }

    /// Added tokens and their ids.
    pub fn added(&self) -> HashMap<String, u32> {
        match &self.backend {
            Backend::Engine(engine) => {
                let added = engine.spec().added.iter();
                added.map(|token| (token.content.clone(), token.id)).collect()
            }
            Backend::Reference(reference, _) => reference.added(),
        }
    }

    /// Ids of a text; `template` adds what the post-processor puts around it.
    ///
    /// # Errors
    /// If the reference refuses the text.
    pub fn encode(&self, text: &str, template: bool) -> Result<Vec<u32>> {
        let engine = match &self.backend {
            Backend::Engine(engine) => engine,
            Backend::Reference(reference, _) => return reference.encode(text, template),
        };
        let mut ids = Vec::new();
        let (before, after) = around(engine, template);
        ids.extend_from_slice(before);
        engine.encode_into(text.as_bytes(), true, &mut ids);
        ids.extend_from_slice(after);
        Ok(ids)
    }

    /// Ids of several texts, on several threads if that pays; 0 are all.
    ///
    /// # Errors
    /// If the reference refuses a text.
    pub fn encode_batch(&self, texts: &[&str], template: bool, wish: usize) -> Result<Batch> {
        let engine = match &self.backend {
            Backend::Engine(engine) => engine,
            Backend::Reference(reference, _) => {
                return reference.encode_batch(texts, template, threads(wish));
            }
        };
        let batch = engine.encode_batch(texts, true, threads(wish));
        let (before, after) = around(engine, template);
        if before.is_empty() && after.is_empty() {
            return Ok(batch);
        }
        let mut whole = Batch { ids: Vec::with_capacity(batch.ids.len()), offsets: vec![0] };
        for row in batch.rows() {
            whole.ids.extend_from_slice(before);
            whole.ids.extend_from_slice(row);
            whole.ids.extend_from_slice(after);
            whole.offsets.push(whole.ids.len());
        }
        Ok(whole)
    }

    /// Ids of a file of text, which is mapped and not read: it may be larger than memory.
    ///
    /// Nobody may change or shorten the file meanwhile.
    ///
    /// # Errors
    /// If the file cannot be read, or is not UTF-8 where the engine does not do the work.
    pub fn encode_file(&self, path: &Path, wish: usize) -> Result<Vec<u32>> {
        let io = |source| Error::Io { path: path.into(), source };
        // Asked before it is opened: opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            let source = Box::new(Error::NotAFile(u64::MAX));
            return Err(Error::File { path: path.into(), source });
        }
        let file = File::open(path).map_err(io)?;
        // SAFETY: the file is open for reading, and the mapping is private and only read. That
        // nobody changes or shortens the file meanwhile is demanded in the docs of this function.
        let text = unsafe { Mmap::map(&file) }.map_err(io)?;
        if let Backend::Engine(engine) = &self.backend {
            return Ok(engine.encode_batch(&[&text[..]], true, threads(wish)).ids);
        }
        let text = std::str::from_utf8(&text).map_err(|error| {
            let source = Box::new(Error::Engine(error.to_string()));
            Error::File { path: path.into(), source }
        })?;
        self.encode(text, false)
    }

    /// Ids of a text and the bytes, or the characters, that each stands for.
    ///
    /// # Errors
    /// If the reference refuses the text.
    pub fn encode_with_offsets(&self, text: &str, characters: bool) -> Result<Located> {
        let engine = match &self.backend {
            Backend::Engine(engine) => engine,
            Backend::Reference(reference, _) => {
                return reference.encode_with_offsets(text, characters);
            }
        };
        let (ids, mut ranges) = engine.encode_with_offsets(text.as_bytes(), true);
        if characters {
            ranges = engine::in_characters(text, &ranges);
        }
        Ok((ids, ranges))
    }

    /// Text of ids, by default without special tokens.
    ///
    /// # Errors
    /// If the reference refuses the ids.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        match &self.backend {
            Backend::Engine(engine) => Ok(engine.decode(ids, skip_special)),
            Backend::Reference(reference, _) => reference.decode(ids, skip_special),
        }
    }

    /// The bytes of one id, or how its vocabulary spells it where that is not in bytes.
    pub fn token(&self, id: u32) -> Vec<u8> {
        match &self.backend {
            Backend::Engine(engine) => engine.token(id).to_vec(),
            Backend::Reference(reference, _) => {
                reference.token(id).unwrap_or_default().into_bytes()
            }
        }
    }

    /// What each id adds to a decoded text, special tokens included, by where it stands: a text
    /// begins in the first context.
    ///
    /// # Errors
    /// If the decoder looks at more than a token and its neighbours.
    pub fn spelling(&self) -> Result<Vec<Context>> {
        match &self.backend {
            Backend::Engine(engine) => {
                let spelled =
                    |id| Some(engine.token(id).to_vec()).filter(|bytes| !bytes.is_empty());
                let ids = 0..engine.vocab_size() as u32;
                Ok(vec![Context::alone(ids.map(spelled).collect())])
            }
            Backend::Reference(reference, _) => reference.spelling(),
        }
    }

    /// A decoder for ids that come one after the other.
    pub fn stream(&self) -> AnyStream {
        AnyStream(match self.backend {
            Backend::Engine(_) => Either::Engine(Stream::default()),
            Backend::Reference(..) => Either::Reference(Steps::default()),
        })
    }
}

impl AnyStream {
    /// The text that is certain after one more id, never half a character.
    ///
    /// # Errors
    /// If the reference refuses the id, or `tokenizer` is another than made the stream.
    pub fn push(&mut self, tokenizer: &Any, id: u32) -> Result<String> {
        match (&mut self.0, &tokenizer.backend) {
            (Either::Engine(stream), Backend::Engine(engine)) => Ok(stream.push(engine.token(id))),
            (Either::Reference(steps), Backend::Reference(own, _)) => steps.push(own, id),
            _ => Err(Error::Engine("the stream is another tokenizer's".into())),
        }
    }

    /// What is left: U+FFFD if a character was begun.
    ///
    /// # Errors
    /// As [`AnyStream::push`].
    pub fn finish(&mut self, tokenizer: &Any) -> Result<String> {
        match (&mut self.0, &tokenizer.backend) {
            (Either::Engine(stream), Backend::Engine(_)) => Ok(stream.finish()),
            (Either::Reference(steps), Backend::Reference(own, _)) => steps.finish(own),
            _ => Err(Error::Engine("the stream is another tokenizer's".into())),
        }
    }
}

/// Ids around a text.
fn around(engine: &Engine, template: bool) -> (&[u32], &[u32]) {
    let spec = engine.spec();
    if template { (&spec.before, &spec.after) } else { (&[], &[]) }
}
