#![doc = include_str!("../README.md")]

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
