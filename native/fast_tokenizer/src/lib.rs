//! Byte-level BPE without Python: train, save, load, encode, decode.
//!
//! Any text survives a round trip, because every byte is a token. Four special tokens take the ids
//! 0 to 3; no text ever encodes to one of them, not even their names. What is
//! saved is a `tokenizer.json` that Hugging Face tokenizers read and encode with alike. Merges are
//! learned and applied by [`engine`], which also serves byte-level files from elsewhere.
//!
//! ```
//! use fast_tokenizer::{Bpe, Settings, Trainer};
//!
//! let mut trainer = Trainer::new(Settings { vocab_size: 262, min_frequency: 2, threads: 1 })?;
//! trainer.feed(&["banana bandana"])?;
//! let bpe: Bpe = trainer.finish()?;
//! assert_eq!(bpe.decode(&bpe.encode("a <mask>, 香蕉")?)?, "a <mask>, 香蕉");
//! # Ok::<(), fast_tokenizer::Error>(())
//! ```

mod alphabet;
mod any;
mod bounded;
mod bpe;
mod checks;
pub mod engine;
mod error;
mod format;
mod guard;
mod reference;
mod special;
mod spelling;
mod steps;
mod train;

pub use any::{Any, AnyStream, Backend, Reading};
pub use bpe::Bpe;
pub use error::{Error, Result};
pub use reference::Reference;
pub use spelling::{Bytes, Context};
pub use train::{Settings, Trainer};

/// Special tokens in the order of their ids, the first of which is 0.
pub const SPECIAL_TOKENS: [&str; 4] = ["<mask>", "<pad>", "<bos>", "<eos>"];

/// Fewest tokens of a vocabulary: one for each byte, and the special ones.
pub const MIN_VOCAB: usize = 256 + SPECIAL_TOKENS.len();

/// Most tokens of a vocabulary; twice what the largest published ones hold.
pub const MAX_VOCAB: usize = 1 << 19;
