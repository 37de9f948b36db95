//! Byte-level BPE without Python.

pub mod engine;
