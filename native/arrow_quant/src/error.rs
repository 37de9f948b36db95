//! What can be wrong with a scheme, a weight or a buffer.

/// The result of every fallible function here.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that is not offered, alone or beside another.
    #[error("{name}: expected {expected}, got {value}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A buffer has the wrong length.
    #[error("{what} has {found} values; expected {expected}")]
    Length {
        /// Which buffer.
        what: &'static str,
        /// Its length.
        found: usize,
        /// What it should be.
        expected: usize,
    },
    /// A matrix of more bytes than can be addressed.
    #[error("{rows} x {columns} is more than this machine can address")]
    TooLarge {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// A weight that is not finite, or too large.
    #[error(
        "weight at row {row}, column {column} is {value:e}; expected finite numbers of at most \
         8.5e37"
    )]
    Weight {
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// The offending value.
        value: f32,
    },
    /// An importance, or an entry of a Hessian, that is negative or not finite.
    #[error("{what} at position {position}: expected {expected}, got {value}")]
    Statistic {
        /// Which statistic.
        what: &'static str,
        /// Where it is.
        position: usize,
        /// The offending value.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// No choice of widths is small enough.
    #[error("{budget} bits a weight cannot be reached; the smallest choice takes {smallest:.3}")]
    Budget {
        /// What was asked for.
        budget: f64,
        /// What is possible.
        smallest: f64,
    },
}
