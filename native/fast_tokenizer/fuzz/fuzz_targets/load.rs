//! Loading what claims to be a tokenizer is an answer or an error, and what loads encodes.
#![no_main]

use fast_tokenizer::Any;
use libfuzzer_sys::fuzz_target;

const TEXT: &str = "the <mask> 'tis 12\n é aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";

// A text of its own may follow the file, after a zero.
fuzz_target!(|input: &str| {
    let (json, text) = input.split_once('\0').unwrap_or((input, TEXT));
    let Ok(tokenizer) = Any::from_json(json.to_owned(), true, false) else { return };
    let Ok(ids) = tokenizer.encode(text, true) else { return };
    let _ = tokenizer.decode(&ids, true);
    let _ = tokenizer.encode_with_offsets(text, true);
    let mut stream = tokenizer.stream();
    for id in ids {
        let _ = stream.push(&tokenizer, id);
    }
    let _ = stream.finish(&tokenizer);
});
