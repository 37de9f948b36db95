#![doc = include_str!("../README.md")]

pub mod level;
pub mod memory;

pub use level::{Feature, Level, Tier, Tiers};
