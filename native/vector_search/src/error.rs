//! What can be wrong with a request, a buffer or a file.

use std::io;

/// The result of every fallible function here.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A buffer or query has the wrong length.
    #[error("{what} has {found} values; expected {expected}")]
    Length {
        /// Which buffer.
        what: &'static str,
        /// Its length.
        found: usize,
        /// What it should be.
        expected: usize,
    },
    /// The dimension is zero, or not a whole number of bytes for binary vectors.
    #[error("dimension {0} is not possible for these vectors")]
    Dimension(usize),
    /// More rows than can be numbered: 2^32 - 1, and in a graph 2^31.
    #[error("{0} rows are more than can be numbered: {max}, and half as many in a graph", max = u32::MAX)]
    TooManyRows(usize),
    /// A query or vector holds NaN or an infinity.
    #[error("{what} holds {value} at position {position}; every value must be finite")]
    NotFinite {
        /// Which vector.
        what: &'static str,
        /// The offending value.
        value: f32,
        /// Where it is.
        position: usize,
    },
    /// A distance that single precision does not hold.
    #[error("row {row}: expected a distance that single precision holds, got {distance}")]
    Beyond {
        /// The row.
        row: u32,
        /// Positive or negative infinity.
        distance: f32,
    },
    /// A row number beyond the end.
    #[error("row {row} does not exist; there are {rows}")]
    NoSuchRow {
        /// The row asked for.
        row: u32,
        /// How many there are.
        rows: usize,
    },
    /// A row that is already in the index.
    #[error("row {0} is already in the index")]
    DuplicateRow(u32),
    /// A setting out of its range.
    #[error("{name}: expected {expected}, got {value}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: usize,
        /// What would be right.
        expected: &'static str,
    },
    /// A file that is not what it should be, or is damaged.
    #[error("index file is damaged or foreign: {0}")]
    Corrupt(String),
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<files::Failure> for Error {
    fn from(failure: files::Failure) -> Self {
        Self::Io(failure.source)
    }
}
