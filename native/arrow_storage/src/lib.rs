//! An embedded store in one folder: rows with an id, a vector and any other columns, as Arrow.
//!
//! A write goes to a log with checksums and, under [`Durability::Commit`], is on disk when the call
//! returns. From time to time the log becomes an immutable Arrow IPC segment, listed in a manifest
//! that is replaced by a rename. Readers hold a [`Snapshot`], which never changes. One process
//! writes at a time; any number read.
//!
//! Opening reads the manifest, the tombstones, the log and the checksums of segments. Segments are
//! mapped, and each block of them is compared with its checksum when a column or vector in it is first
//! read; [`Store::verify`] compares all. A thread joins segments that have become small
//! ([`Compaction`]).

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
