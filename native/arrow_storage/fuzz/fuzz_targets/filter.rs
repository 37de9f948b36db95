//! Any text is a filter or an error, and a filter applies to any row or says why not.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| arrow_storage::fuzzing::filter(text));
