//! Compact codes of vectors: a scan of the codes finds candidates, exact distances decide.

mod binary;
pub(crate) mod int8;

pub use binary::BinaryCodes;
pub use int8::Int8Codes;
