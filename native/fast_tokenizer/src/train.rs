//! Learns merges from texts.

use std::collections::HashMap;

use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, pre_tokenizers::byte_level::ByteLevel};

use crate::{Bpe, Error, MAX_VOCAB, MIN_VOCAB, Result, SPECIAL_TOKENS, alphabet, split};

/// The engine counts in 32 bits and does not check them.
const MAX_BYTES: u64 = i32::MAX as u64;

/// The engine's time is quadratic in the length of a word, so longer ones are learned in parts.
const MAX_WORD: usize = 256;

/// What to learn.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Tokens in the end, the special ones included.
    pub vocab_size: usize,
    /// Fewest occurrences of a pair that becomes a token.
    pub min_frequency: u64,
    /// Threads to use, 0 for all; the result does not depend on it.
    pub threads: usize,
}

/// Counts words as texts are fed, then learns merges from the counts.
#[derive(Debug)]
pub struct Trainer {
    settings: Settings,
    // A pool of its own rather than the global one, whose threads are missing after a fork.
    pool: ThreadPool,
    counts: HashMap<Box<str>, u64>,
    bytes: u64,
}

impl Trainer {
    /// A trainer that has seen nothing.
    ///
    /// # Errors
    /// If the vocabulary is too small or too large, or there are no threads.
    pub fn new(settings: Settings) -> Result<Self> {
        if !(MIN_VOCAB..=MAX_VOCAB).contains(&settings.vocab_size) {
            return Err(Error::VocabSize(settings.vocab_size));
        }
        Ok(Self {
            settings,
            pool: ThreadPoolBuilder::new().num_threads(settings.threads).build()?,
            counts: HashMap::new(),
            bytes: 0,
        })
    }

    /// Counts the words of some texts. Only the counts are kept.
    ///
    /// # Errors
    /// If the texts so far are longer than 2 GiB.
    pub fn feed<S: AsRef<str> + Sync>(&mut self, texts: &[S]) -> Result<()> {
        self.bytes += texts.iter().map(|text| text.as_ref().len() as u64).sum::<u64>();
        if self.bytes > MAX_BYTES {
            return Err(Error::TooMuchText(MAX_BYTES));
        }
        let parts: Vec<HashMap<&str, u64>> = self.pool.install(|| {
            let count = |mut counts: HashMap<_, _>, text| {
                split::words(text).for_each(|word| *counts.entry(word).or_default() += 1);
                counts
            };
            texts.par_iter().map(S::as_ref).fold(HashMap::new, count).collect()
        });
        for (word, count) in parts.into_iter().flatten() {
            match self.counts.get_mut(word) {
                Some(total) => *total += count,
                None => drop(self.counts.insert(word.into(), count)),
            }
        }
        Ok(())
    }

    /// Learns merges, the same from the same texts in any order.
    ///
    /// # Errors
    /// If the texts hold too few pairs for the vocabulary.
    pub fn finish(self) -> Result<Bpe> {
        let Settings { vocab_size: wanted, min_frequency, .. } = self.settings;
        let trainer = BpeTrainer::builder()
            .vocab_size(wanted)
            .min_frequency(min_frequency)
            .show_progress(false)
            .special_tokens(SPECIAL_TOKENS.map(|name| AddedToken::from(name, true)).into())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut counts = HashMap::new();
        for (word, count) in self.counts {
            for part in word.as_bytes().chunks(MAX_WORD) {
                *counts.entry(alphabet::to_chars(part)).or_default() += count;
            }
        }
        let counts = counts.into_iter().map(|(word, count)| (word.into(), count)).collect();
        let mut model = BPE::default();
        self.pool
            .install(|| trainer.do_train(&counts, &mut model))
            .map_err(|error| Error::Engine(error.to_string()))?;
        let bpe = Bpe::from_engine(&model)?;
        if bpe.vocab_size() < wanted {
            let reached = bpe.vocab_size();
            return Err(Error::TooLittleText { wanted, reached, min_frequency });
        }
        Ok(bpe)
    }
}
