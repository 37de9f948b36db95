//! Byte-level BPE without Python.
