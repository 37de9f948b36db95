//! What the engine does not do, by the `tokenizers` crate behind a guard.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokenizers::{PostProcessorWrapper, TokenizerImpl};

use crate::bounded::{TooMuch, within};
use crate::checks::Patterns;
use crate::engine::{Batch, share};
use crate::guard::guarded;
use crate::special::Worded;
use crate::spelling::{Context, contexts};
use crate::steps::{Cutting, Decoding, Normalizing};
use crate::{Error, Result};

/// Ids, and for each where it comes from.
pub(crate) type Located = (Vec<u32>, Vec<Range<usize>>);

/// A tokenizer of the `tokenizers` crate, whose searches end.
type Tokenizer = TokenizerImpl<Worded, Normalizing, Cutting, PostProcessorWrapper, Decoding>;

/// Bytes that one id is counted as where it is decoded.
const ID: usize = 16;

/// A tokenizer of the `tokenizers` crate.
#[derive(Debug)]
pub struct Reference {
    tokenizer: Tokenizer,
    /// Where each of its patterns stands in the file.
    patterns: Patterns,
}

impl Reference {
    /// A tokenizer of a file of so many bytes, which was checked.
    ///
    /// `parse_special` says whether the names of special tokens in a text are these tokens.
    pub(crate) fn new(
        mut file: Value,
        bytes: usize,
        patterns: Patterns,
        parse_special: bool,
    ) -> Result<Self> {
        Worded::prepare(&mut file, parse_special)?;
        let parsed = guarded(|| within(bytes, || serde_json::from_value::<Tokenizer>(file)))?;
        let mut tokenizer = parsed
            .map_err(|refused| blame(&patterns, &refused))?
            .map_err(|error| Error::entry("tokenizer", error.to_string()))?;
        tokenizer.set_encode_special_tokens(!parse_special);
        Ok(Self { tokenizer, patterns })
    }

    /// Asks the crate about so many bytes of text.
    fn ask<T>(&self, bytes: usize, work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
        guarded(|| within(bytes, work))?
            .map_err(|refused| blame(&self.patterns, &refused))?
            .map_err(|error| Error::Engine(error.to_string()))
    }

    /// One more than the highest id.
    pub(crate) fn vocab_size(&self) -> usize {
        let vocabulary = self.tokenizer.get_vocab(true);
        vocabulary.values().max().map_or(0, |&id| id as usize + 1)
    }

    pub(crate) fn added(&self) -> HashMap<String, u32> {
        let added = self.tokenizer.get_added_tokens_decoder().into_iter();
        added.map(|(id, token)| (token.content.clone(), id)).collect()
    }

    pub(crate) fn encode(&self, text: &str, template: bool) -> Result<Vec<u32>> {
        let encoding = self.ask(text.len(), || self.tokenizer.encode_fast(text, template))?;
        Ok(encoding.get_ids().to_vec())
    }

    pub(crate) fn encode_with_offsets(&self, text: &str, characters: bool) -> Result<Located> {
        let encoding = self.ask(text.len(), || match characters {
            true => self.tokenizer.encode_char_offsets(text, false),
            false => self.tokenizer.encode(text, false),
        })?;
        let offsets = encoding.get_offsets().iter().map(|&(start, end)| start..end);
        Ok((encoding.get_ids().to_vec(), offsets.collect()))
    }

    pub(crate) fn encode_batch(
        &self,
        texts: &[&str],
        template: bool,
        threads: usize,
    ) -> Result<Batch> {
        let done: Vec<Mutex<Result<Vec<u32>>>> =
            texts.iter().map(|_| Mutex::new(Ok(Vec::new()))).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(text) = texts.get(index) else { break };
                let ids = self.encode(text, template);
                *done[index].lock().unwrap_or_else(PoisonError::into_inner) = ids;
            }
        };
        share(threads.min(texts.len()), work);
        let mut batch = Batch { ids: Vec::new(), offsets: vec![0] };
        for ids in done {
            batch.ids.extend(ids.into_inner().unwrap_or_else(PoisonError::into_inner)?);
            batch.offsets.push(batch.ids.len());
        }
        Ok(batch)
    }

    pub(crate) fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.ask(ids.len() * ID, || self.tokenizer.decode(ids, skip_special))
    }

    /// What each id adds to a text.
    pub(crate) fn spelling(&self) -> Result<Vec<Context>> {
        let names: Vec<Option<String>> =
            (0..self.vocab_size() as u32).map(|id| self.token(id)).collect();
        let bytes = names.iter().flatten().map(String::len).sum();
        self.ask(bytes, || Ok(contexts(&names, self.tokenizer.get_decoder())))?
    }

    pub(crate) fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }
}

/// Names the entry that asks for too much.
fn blame(patterns: &Patterns, TooMuch { pattern, problem }: &TooMuch) -> Error {
    let alike = patterns.iter().filter(|(_, text)| text == pattern);
    let at: Vec<&str> = alike.map(|(at, _)| at.as_str()).collect();
    Error::entry(if at.is_empty() { "normalizer".into() } else { at.join(", ") }, problem)
}

/// Text of ids as it becomes certain: the decoder sees the ids of a few tokens at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    ids: Vec<u32>,
    prefix: String,
    prefix_index: usize,
}

impl Steps {
    /// The text that is certain after one more id.
    pub(crate) fn push(&mut self, reference: &Reference, id: u32) -> Result<String> {
        let text = reference.ask((self.ids.len() + 1) * ID, || {
            tokenizers::tokenizer::step_decode_stream(
                &reference.tokenizer,
                vec![id],
                false,
                &mut self.ids,
                &mut self.prefix,
                &mut self.prefix_index,
            )
        })?;
        Ok(text.unwrap_or_default())
    }

    /// What is left.
    pub(crate) fn finish(&mut self, reference: &Reference) -> Result<String> {
        let Self { ids, prefix, .. } = std::mem::take(self);
        let text = reference.decode(&ids, false)?;
        Ok(text.strip_prefix(prefix.as_str()).unwrap_or_default().to_owned())
    }
}
