#![doc = include_str!("../README.md")]

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
