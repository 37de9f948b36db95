#![doc = include_str!("../README.md")]

mod backup;
mod blocks;
mod checkpoint;
mod compaction;
mod dead;
pub mod error;
mod export;
mod filter;
mod found;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod hybrid;
mod id;
mod index;
mod lock;
mod log;
mod manifest;
mod open;
mod record;
mod rows;
mod schema;
mod search;
mod segment;
mod select;
mod snapshot;
mod state;
mod store;
mod text;
mod verify;
mod words;

pub use compaction::Compaction;
pub use error::{Error, Result};
pub use files;
pub use filter::Filter;
pub use id::Id;
pub use manifest::Columns;
pub use open::{Options, Recovery};
pub use search::Query;
pub use snapshot::Snapshot;
pub use state::Part;
pub use store::{Durability, Store};
pub use vector_search::Metric;
pub use verify::Report;
pub use words::words;
