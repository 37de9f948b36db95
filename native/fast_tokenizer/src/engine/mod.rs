//! The engine: byte-level BPE with nothing between text and ids but this folder.

mod added;
mod cache;
mod count;
mod decode;
mod encode;
#[cfg(test)]
mod exactness;
mod json;
mod key;
mod lanes;
mod merges;
mod offsets;
mod padded;
mod parallel;
mod pattern;
mod spec;
mod split;
mod tables;
mod tokenizer;
mod train;
mod unicode;
mod window;

pub use decode::Stream;
pub use offsets::in_characters;
pub use padded::{Layout, Misfit, Padded};
pub(crate) use parallel::share;
pub use parallel::{Batch, threads};
pub use pattern::Pattern;
pub use spec::{Added, Spec, Unfit};
pub use tables::UNICODE_VERSION;
pub use tokenizer::Engine;
pub use train::{Learned, Trainer};
