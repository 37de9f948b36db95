//! What can go wrong.

use std::path::PathBuf;

use crate::{MAX_VOCAB, MIN_VOCAB};

/// Short for a result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which this crate can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A vocabulary that cannot be asked for.
    #[error(
        "expected vocab_size from {MIN_VOCAB} (256 bytes and the special tokens) to {MAX_VOCAB}, got {0}"
    )]
    VocabSize(usize),

    /// Training ran out of pairs to merge.
    #[error(
        "expected more text, vocab_size <= {reached} or a lower min_frequency, got vocab_size \
         {wanted}: the texts give {reached} tokens when pairs occur at least {min_frequency} times"
    )]
    TooLittleText {
        /// Tokens asked for.
        wanted: usize,
        /// Tokens learned.
        reached: usize,
        /// Fewest occurrences of a pair that was merged.
        min_frequency: u64,
    },

    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// A file that is readable but not a tokenizer of this crate.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },

    /// Something that is not a regular file, or far larger than any tokenizer.
    #[error("expected a regular file of at most {0} bytes, got another or a larger one")]
    NotAFile(u64),

    /// Text that is not JSON; the message holds line and column.
    #[error("not valid JSON: {0}")]
    Json(#[from] serde_json::Error),

    /// JSON that does not describe a tokenizer of this crate.
    #[error("{entry}: {problem}")]
    Entry {
        /// Where, as in `model.vocab`.
        entry: String,
        /// What is wrong, and what would be right.
        problem: String,
    },

    /// An id outside the vocabulary.
    #[error("id {id} is not in the vocabulary; expected 0 to {}", size - 1)]
    UnknownId {
        /// The id.
        id: i32,
        /// Number of tokens.
        size: usize,
    },

    /// The engine refused; not known to happen.
    #[error("tokenizer engine: {0}")]
    Engine(String),
}

impl Error {
    pub(crate) fn entry(entry: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Entry { entry: entry.into(), problem: problem.into() }
    }
}
