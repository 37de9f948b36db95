#![doc = include_str!("../README.md")]

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
