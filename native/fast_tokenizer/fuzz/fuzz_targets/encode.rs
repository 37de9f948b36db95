//! Any bytes come back, and give the same ids with a cache that knows them and with none.
#![no_main]

use std::sync::LazyLock;

use fast_tokenizer::engine::{Engine, Pattern, Spec, Trainer};
use libfuzzer_sys::fuzz_target;

static ENGINES: LazyLock<Vec<Engine>> = LazyLock::new(|| {
    let patterns = [Pattern::Gpt2, Pattern::Cl100k { digits: 3 }, Pattern::Whole];
    patterns.into_iter().map(engine).collect()
});

fn engine(pattern: Pattern) -> Engine {
    let mut trainer = Trainer::new(pattern, 1);
    trainer.feed(&["the then there 'tis   \n\n 123 123 123 aaaa éé 中文中文".repeat(3)]);
    let learned = trainer.finish(320, 2, &["<mask>"], |_| true);
    Engine::new(Spec::from_learned(learned, pattern)).expect("what was learned is sound")
}

fuzz_target!(|bytes: &[u8]| {
    for engine in ENGINES.iter() {
        let mut ids = Vec::new();
        engine.encode_into(bytes, false, &mut ids);
        assert_eq!(bytes, engine.decode_bytes(&ids, false));
        assert_eq!(ids, engine.encode_with_offsets(bytes, false).0);
        engine.forget();
        let mut again = Vec::new();
        engine.encode_into(bytes, false, &mut again);
        assert_eq!(ids, again);
    }
});
