//! Loading what claims to be a tokenizer is an answer or an error, and what loads encodes.
#![no_main]

use fast_tokenizer::{Any, Reading};
use libfuzzer_sys::fuzz_target;

const TEXT: &str = "the <mask> 'tis 12\n é aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";

// A text of its own may follow the file, after a zero.
fuzz_target!(|input: &str| {
    let (json, text) = input.split_once('\0').unwrap_or((input, TEXT));
    for parse_special in [false, true] {
        let reading = Reading { parse_special, ..Reading::default() };
        let Ok(tokenizer) = Any::from_json(json.to_owned(), reading) else { return };
        let _ = tokenizer.spelling();
        let Ok(ids) = tokenizer.encode(text, true) else { return };
        let _ = tokenizer.decode(&ids, true);
        let _ = tokenizer.encode_with_offsets(text, true);
        let mut stream = tokenizer.stream();
        for id in ids {
            let _ = stream.push(&tokenizer, id);
        }
        let _ = stream.finish(&tokenizer);
    }
});
