//! What claims to be a segment is rows or an error, and rows can be searched.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: arrow_storage::fuzzing::hush(), |bytes: &[u8]| {
    arrow_storage::fuzzing::segment(bytes)
});
