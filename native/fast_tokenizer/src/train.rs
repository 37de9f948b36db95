//! Learns merges from texts.

use crate::engine::{self, Pattern};
use crate::{Bpe, Error, MAX_VOCAB, MIN_VOCAB, Result, SPECIAL_TOKENS};

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
    engine: engine::Trainer,
}

impl Trainer {
    /// A trainer that has seen nothing.
    ///
    /// # Errors
    /// If the vocabulary is too small or too large.
    pub fn new(settings: Settings) -> Result<Self> {
        if !(MIN_VOCAB..=MAX_VOCAB).contains(&settings.vocab_size) {
            return Err(Error::VocabSize(settings.vocab_size));
        }
        let threads = engine::threads(settings.threads);
        Ok(Self { settings, engine: engine::Trainer::new(Pattern::Gpt2, threads) })
    }

    /// Counts the words of some texts. Only the counts are kept.
    ///
    /// # Errors
    /// None that is known.
    pub fn feed<S: AsRef<str> + Sync>(&mut self, texts: &[S]) -> Result<()> {
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_ref().as_bytes()).collect();
        self.engine.feed(&texts);
        Ok(())
    }

    /// Learns merges, the same from the same texts in any order.
    ///
    /// # Errors
    /// If the texts hold too few pairs for the vocabulary.
    pub fn finish(self) -> Result<Bpe> {
        self.finish_watched(|_| true)
    }

    /// The same, telling `each` after every merge how many tokens there are; false stops there.
    ///
    /// # Errors
    /// If the texts hold too few pairs for the vocabulary.
    pub fn finish_watched(self, each: impl FnMut(usize) -> bool) -> Result<Bpe> {
        let Settings { vocab_size: wanted, min_frequency, .. } = self.settings;
        let learned = self.engine.finish(wanted, min_frequency, &SPECIAL_TOKENS, each);
        let reached = learned.tokens.len();
        if reached < wanted {
            return Err(Error::TooLittleText { wanted, reached, min_frequency });
        }
        Bpe::from_learned(learned)
    }
}
