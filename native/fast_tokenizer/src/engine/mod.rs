//! The engine: byte-level BPE with nothing between text and ids but this folder.

mod added;
mod alphabet;
mod cache;
mod decode;
mod encode;
mod json;
mod lanes;
mod memory;
mod merges;
mod parallel;
mod pattern;
mod spec;
mod split;
mod tables;
mod tokenizer;
mod unicode;
mod window;

pub use decode::Stream;
pub use parallel::Batch;
pub use pattern::Pattern;
pub use spec::{Added, Spec, Unfit};
pub use tables::UNICODE_VERSION;
pub use tokenizer::Engine;
