//! What can go wrong, each with where and what would be right.

use std::io;
use std::path::{Path, PathBuf};

/// The result of every fallible function here.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder without a manifest.
    #[error("{path} is not a store: it has no MANIFEST")]
    NotAStore {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that holds something already.
    #[error("{path} cannot become a store: it is not empty")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A store written by a later version of this crate.
    #[error("{path} has format {found}; this version knows formats up to {known}")]
    Newer {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The latest that can be read.
        known: u32,
    },
    /// Another process, or another handle in this one, writes to the store.
    #[error("{path} is being written by another process; open it for reading, or wait")]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// A write in a process that was forked from the one that opened the store.
    #[error(
        "the store was opened by process {process}, from which this one was forked; open it again \
         in this process"
    )]
    Forked {
        /// The process that opened it.
        process: u32,
    },
    /// A folder that was removed while its store was open.
    #[error("{path} was removed while the store was open; what was written is lost")]
    Removed {
        /// A file of it.
        path: PathBuf,
    },
    /// A write to a store that was opened for reading.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// Bytes that are not what was written.
    #[error("{path} is damaged at byte {at}: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// A log that could not be written; nothing more is, until the store is opened again.
    #[error("an earlier write to the log failed ({reason}); open the store again to go on")]
    Stopped {
        /// The first failure.
        reason: String,
    },
    /// A schema that cannot be a store's, or a batch that does not fit it.
    #[error("{0}")]
    Schema(String),
    /// A column that is not there.
    #[error("there is no column {name:?}; there are {known:?}")]
    NoColumn {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// An id that is there already, or twice in one batch.
    #[error("id {id} in row {row} {}", if *.twice { "comes twice in the batch" } else { "is in the store already" })]
    DuplicateId {
        /// The id.
        id: String,
        /// Its row in the batch.
        row: usize,
        /// Whether the batch itself holds it twice.
        twice: bool,
    },
    /// A missing value where there must be one.
    #[error("row {row} has no {column:?}")]
    Null {
        /// The column.
        column: String,
        /// The row.
        row: usize,
    },
    /// A vector with NaN or an infinity.
    #[error("the vector in row {row} holds {value}; every value must be finite")]
    NotFinite {
        /// The row.
        row: usize,
        /// The value.
        value: f32,
    },
    /// A vector whose distances may be beyond single precision.
    #[error(
        "the vector in row {row} holds {value}; expected at most 1e16, so that scores are finite"
    )]
    TooLarge {
        /// The row.
        row: usize,
        /// The value.
        value: f32,
    },
    /// A filter that cannot be understood, or does not fit the columns.
    #[error("filter, character {at}: {what}; the filter is: {text}")]
    Filter {
        /// The whole filter.
        text: String,
        /// The character, the first one being 1.
        at: usize,
        /// What is wrong there.
        what: String,
    },
    /// A query that the vectors cannot answer.
    #[error(transparent)]
    Search(#[from] vector_search::Error),
    /// Arrow refused something.
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl From<files::Failure> for Error {
    fn from(files::Failure { path, source }: files::Failure) -> Self {
        Self::Io { path, source }
    }
}

impl Error {
    /// Name the file that an operation was about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, at: usize, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), at: at as u64, what: what.into() }
    }

    /// The kind of error as one word that stays the same, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotAStore { .. } => "not_a_store",
            Self::NotEmpty { .. } => "not_empty",
            Self::Newer { .. } => "newer",
            Self::Locked { .. } => "locked",
            Self::Forked { .. } => "forked",
            Self::Removed { .. } => "removed",
            Self::ReadOnly => "read_only",
            Self::Corrupt { .. } => "corrupt",
            Self::Stopped { .. } => "stopped",
            Self::Schema(_) => "schema",
            Self::NoColumn { .. } => "no_column",
            Self::DuplicateId { .. } => "duplicate_id",
            Self::Null { .. } => "null",
            Self::NotFinite { .. } => "not_finite",
            Self::TooLarge { .. } => "too_large",
            Self::Filter { .. } => "filter",
            Self::Search(_) => "search",
            Self::Arrow(_) => "arrow",
            Self::Io { .. } => "io",
        }
    }

    /// Whether a file was not there, as happens to a reader when a writer moves on.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
