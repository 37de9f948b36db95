//! Times training on a file of JSON strings: `learn TEXTS.json SIZE THREADS`.

use std::time::Instant;

use fast_tokenizer::engine::{Pattern, Trainer};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let file = std::fs::read_to_string(&arguments[1]).unwrap();
    let texts: Vec<String> = serde_json::from_str(&file).unwrap();
    drop(file);
    let start = Instant::now();
    let mut trainer = Trainer::new(Pattern::Gpt2, arguments[3].parse().unwrap());
    trainer.feed(&texts);
    let counted = start.elapsed().as_secs_f64();
    let special = ["<pad>", "<mask>", "<bos>", "<eos>"];
    let learned = trainer.finish(arguments[2].parse().unwrap(), 0, &special, |_| true);
    let seconds = start.elapsed().as_secs_f64();
    println!("{} tokens, counted {counted:.2} s, all {seconds:.2} s", learned.tokens.len());
    if let Some(path) = arguments.get(4) {
        std::fs::write(path, learned.tokens.join("\n")).unwrap();
    }
}
