//! Nearest neighbours among dense vectors, in memory or memory-mapped.
//!
//! Three ways to search, one order of results (nearest first, equal distances by row):
//! [`exact`] reads every allowed row; [`codes`] scans compact codes and computes exact distances of
//! the best of them; [`hnsw`] walks a graph and re-scores likewise.
//!
//! Smaller distances are nearer: cosine is `1 - cos`, inner product is `-dot`, L2 is the squared
//! Euclidean distance. A query must be finite. Vectors may have any length: distances are summed in
//! double precision where single precision does not suffice, and where it does not even hold the
//! result, a search that would return that is an error. A row with a value that is not finite may be
//! returned, unless its distance is NaN. A zero vector has cosine distance 1 to everything. All functions run in the calling rayon pool; in a forked
//! process, where the global one has no threads, in a pool of its own.

pub mod bitmap;
pub mod codes;
pub mod error;
pub mod exact;
pub mod hnsw;
pub mod kernel;
pub mod metric;
pub mod recall;
pub mod top_k;
pub mod vectors;

pub use bitmap::Bitmap;
pub use codes::{BinaryCodes, Int8Codes};
pub use error::{Error, Result};
pub use exact::{search, search_batch};
pub use hnsw::Hnsw;
pub use metric::Metric;
pub use top_k::Neighbor;
pub use vectors::{Data, Vectors};
