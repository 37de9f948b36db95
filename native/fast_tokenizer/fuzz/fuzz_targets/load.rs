//! Loading what claims to be a tokenizer is an answer or an error, and what loads encodes.
#![no_main]

use fast_tokenizer::engine::Engine;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(engine) = Engine::from_json(text) {
        let ids = engine.encode("the <mask> 'tis 12\n é");
        engine.decode(&ids, true);
    }
});
