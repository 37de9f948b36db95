//! Any `tokenizer.json`: by the engine where it gives the reference's ids, else by the reference.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokenizers::Tokenizer;

use crate::engine::{Batch, Engine, UNICODE_VERSION, Unfit, threads};
use crate::{Error, Result};

/// A tokenizer from a file that others wrote.
#[derive(Debug)]
pub struct Any {
    backend: Backend,
    json: String,
}

/// Who works out the ids.
#[derive(Debug)]
pub enum Backend {
    /// This crate's engine.
    Engine(Box<Engine>),
    /// The `tokenizers` crate, and why the engine does not.
    Reference(Box<Tokenizer>, String),
}

impl Any {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// `engine` false uses the reference for everything; `strict` refuses what only it can do.
    ///
    /// # Errors
    /// If the text is no tokenizer, or `strict` and not for the engine.
    pub fn from_json(json: String, engine: bool, strict: bool) -> Result<Self> {
        let reason = if engine {
            match Engine::from_json(&json) {
                Ok(engine) => return Ok(Self { backend: Backend::Engine(Box::new(engine)), json }),
                Err(Unfit::Broken(problem)) => return Err(Error::entry("tokenizer", problem)),
                Err(Unfit::Other(reason)) => reason,
            }
        } else {
            "the reference was asked for".to_owned()
        };
        if strict {
            return Err(Error::entry("tokenizer", format!("not for the engine: {reason}")));
        }
        let reference =
            json.parse().map_err(|e: tokenizers::Error| Error::Engine(e.to_string()))?;
        Ok(Self { backend: Backend::Reference(Box::new(reference), reason), json })
    }

    /// Who works out the ids.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The file's text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Version of the Unicode tables that decide where the engine cuts.
    pub fn unicode_version(&self) -> &'static str {
        UNICODE_VERSION
    }

    /// One more than the highest id.
    pub fn vocab_size(&self) -> usize {
        match &self.backend {
            Backend::Engine(engine) => engine.vocab_size(),
            Backend::Reference(reference, _) => {
                let vocabulary = reference.get_vocab(true);
                vocabulary.values().max().map_or(0, |&id| id as usize + 1)
            }
        }
    }

    /// Added tokens and their ids.
    pub fn added(&self) -> HashMap<String, u32> {
        match &self.backend {
            Backend::Engine(engine) => {
                let added = engine.spec().added.iter();
                added.map(|token| (token.content.clone(), token.id)).collect()
            }
            Backend::Reference(reference, _) => {
                let added = reference.get_added_tokens_decoder().into_iter();
                added.map(|(id, token)| (token.content, id)).collect()
            }
        }
    }

    /// Ids of a text; `template` adds what the post-processor puts around it.
    ///
    /// # Errors
    /// If the reference refuses the text.
    pub fn encode(&self, text: &str, template: bool) -> Result<Vec<u32>> {
        match &self.backend {
            Backend::Engine(engine) => {
                let mut ids = Vec::new();
                if template {
                    ids.extend_from_slice(&engine.spec().before);
                }
                engine.encode_into(text.as_bytes(), true, &mut ids);
                if template {
                    ids.extend_from_slice(&engine.spec().after);
                }
                Ok(ids)
            }
            Backend::Reference(reference, _) => match reference.encode_fast(text, template) {
                Ok(encoding) => Ok(encoding.get_ids().to_vec()),
                Err(error) => Err(Error::Engine(error.to_string())),
            },
        }
    }

    /// Ids of several texts without the template, on several threads if that pays; 0 are all.
    ///
    /// # Errors
    /// If the reference refuses a text.
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S], wish: usize) -> Result<Batch> {
        let count = threads(wish);
        if let Backend::Engine(engine) = &self.backend {
            let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_ref().as_bytes()).collect();
            return Ok(engine.encode_batch(&texts, true, count));
        }
        let done: Vec<Mutex<Result<Vec<u32>>>> =
            texts.iter().map(|_| Mutex::new(Ok(Vec::new()))).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(text) = texts.get(index) else { break };
                let ids = self.encode(text.as_ref(), false);
                *done[index].lock().unwrap_or_else(PoisonError::into_inner) = ids;
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..count.min(texts.len()) {
                // A thread that the system refuses leaves its work to the others.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let mut batch = Batch { ids: Vec::new(), offsets: vec![0] };
        for ids in done {
            batch.ids.extend(ids.into_inner().unwrap_or_else(PoisonError::into_inner)?);
            batch.offsets.push(batch.ids.len());
        }
        Ok(batch)
    }

    /// Text of ids, by default without special tokens.
    ///
    /// # Errors
    /// If the reference refuses the ids.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        match &self.backend {
            Backend::Engine(engine) => Ok(engine.decode(ids, skip_special)),
            Backend::Reference(reference, _) => {
                reference.decode(ids, skip_special).map_err(|e| Error::Engine(e.to_string()))
            }
        }
    }

    /// The bytes of one id, or how its vocabulary spells it where that is not in bytes.
    pub fn token(&self, id: u32) -> Vec<u8> {
        match &self.backend {
            Backend::Engine(engine) => engine.token(id).to_vec(),
            Backend::Reference(reference, _) => {
                reference.id_to_token(id).unwrap_or_default().into_bytes()
            }
        }
    }
}
