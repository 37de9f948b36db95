//! Weights of 2, 3, 4 and 8 bits, and products computed from them as they are packed.
//!
//! [`quantize()`] makes a [`QuantizedMatrix`] from floats, which gives them back ([`dequantize`]) and
//! multiplies with them ([`linear()`]) without ever expanding them. What codes mean is a [`Scheme`],
//! where they lie is a [`Geometry`]; both are what a file of weights records.
//!
//! What takes a while takes a number of threads, of which the caller is one; 0 is one for each core.

pub mod dequantize;
pub mod error;
mod exponents;
pub mod linear;
pub mod matrix;
mod pack;
mod params;
pub mod plan;
mod pool;
pub mod quantize;
pub mod scheme;
pub mod simd;
pub mod weight;

pub use dequantize::{dequantize, relative_error};
pub use error::{Error, Result};
pub use linear::{Activations, linear};
pub use matrix::QuantizedMatrix;
pub use plan::plan;
pub use quantize::{Quality, quantize};
pub use scheme::{Geometry, ParamFormat, Scheme};
pub use simd::Level;
pub use weight::{Values, Weight};

/// Name of the order of codes and parameters, as [`Geometry`] describes it.
pub const LAYOUT: &str = "rows16x32";
