//! What claims to be a record of a log is rows or an error; its checksum is right, so all is read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: arrow_storage::fuzzing::hush(), |bytes: &[u8]| {
    arrow_storage::fuzzing::log(bytes)
});
