//! Times encoding of a file: `speed TOKENIZER.json TEXT [rounds [ids]]`; prints the best MB/s,
//! cold and warm, and the median time of 100 bytes; with `ids` writes the ids there.

use fast_tokenizer::engine::Engine;

/// Seconds that this process has computed: other processes do not disturb it much.
fn now() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let json = std::fs::read_to_string(&arguments[1]).unwrap();
    let text = std::fs::read(&arguments[2]).unwrap();
    let rounds = arguments.get(3).map_or(5, |n| n.parse().unwrap());
    let start = now();
    let engine = Engine::from_json(&json).unwrap();
    let load = now() - start;
    let mut best = [f64::MAX; 2];
    let mut ids = Vec::new();
    for _ in 0..rounds {
        engine.forget();
        for seconds in &mut best {
            let start = now();
            ids = Vec::new();
            engine.encode_into(&text, true, &mut ids);
            *seconds = seconds.min(now() - start);
        }
    }
    let [cold, warm] = best.map(|seconds| text.len() as f64 / seconds / 1e6);
    println!("load {:.0} ms, {} ids, cold {cold:.0}, warm {warm:.0} MB/s", load * 1e3, ids.len());
    let prompt = text.get(5000..5100).unwrap_or(&text);
    let mut found = Vec::new();
    let mut calls: Vec<f64> = (0..20_000)
        .map(|_| {
            let start = std::time::Instant::now();
            found.clear();
            engine.encode_into(prompt, true, &mut found);
            start.elapsed().as_secs_f64()
        })
        .collect();
    calls.sort_unstable_by(f64::total_cmp);
    println!("{} bytes, p50 {:.2} us", prompt.len(), calls[calls.len() / 2] * 1e6);
    if let Some(path) = arguments.get(4) {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        std::fs::write(path, bytes).unwrap();
    }
}
