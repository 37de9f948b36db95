//! What a scan costs beside reading the same bytes, as JSON lines.
//!
//! `cargo run --profile editable -p vector_search --example scan -- [ROWS] [DIM]`. Ways alternate, so
//! that a busy machine slows all; the best of each is printed, for what others do only ever adds.

use std::hint::black_box;
use std::time::Instant;
use vector_search::exact::{Options, search, search_batch};
use vector_search::{BinaryCodes, Data, Int8Codes, Metric, Vectors};

/// Roughly normal numbers.
fn numbers(count: usize, mut state: u64) -> Vec<f32> {
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next() + next() + next()).collect()
}

/// Sum everything in the widest way that plain Rust finds: the limit of any scan.
fn sum(bytes: &[u64]) -> u64 {
    let (chunks, _) = bytes.as_chunks::<32>();
    let mut lanes = [0u64; 32];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(x);
        }
    }
    lanes.iter().fold(0, |a, &x| a.wrapping_add(x))
}

/// A name, the bytes of a value, and what is measured.
type Way<'a> = (&'a str, usize, Box<dyn Fn() -> usize + 'a>);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|x| x.parse::<usize>());
    let rows = arguments.next().unwrap_or(Ok(500_000))?;
    let dim = arguments.next().unwrap_or(Ok(384))?;
    let values = numbers(rows * dim, 1);
    let query = numbers(dim, 2);
    let queries = numbers(dim * 64, 3);
    let vectors = Vectors::f32(&values, dim)?;
    let halves: Vec<half::f16> = values.iter().map(|&x| half::f16::from_f32(x)).collect();
    let halves = Vectors::new(Data::F16(&halves), dim)?;
    let brains: Vec<half::bf16> = values.iter().map(|&x| half::bf16::from_f32(x)).collect();
    let brains = Vectors::new(Data::Bf16(&brains), dim)?;
    let (int8, signs) = (
        Int8Codes::encode(&vectors, Metric::InnerProduct)?,
        BinaryCodes::encode(&vectors, Metric::InnerProduct),
    );
    // SAFETY: every bit pattern of floats is one of integers.
    let (_, words, _) = unsafe { values.align_to::<u64>() };
    let options = Options::new(Metric::InnerProduct, 10);
    let cosine = Options::new(Metric::Cosine, 10);
    let ways: [Way<'_>; 9] = [
        ("sum", 4, Box::new(|| sum(words) as usize)),
        ("float32", 4, Box::new(|| search(&vectors, &query, &options).map_or(0, |f| f.len()))),
        (
            "float32 cosine",
            4,
            Box::new(|| search(&vectors, &query, &cosine).map_or(0, |f| f.len())),
        ),
        ("float16", 2, Box::new(|| search(&halves, &query, &options).map_or(0, |f| f.len()))),
        ("bfloat16", 2, Box::new(|| search(&brains, &query, &options).map_or(0, |f| f.len()))),
        ("int8", 1, Box::new(|| int8.candidates(&query, &options).map_or(0, |f| f.len()))),
        (
            "int8, 40 scored",
            1,
            Box::new(|| int8.search(&vectors, &query, 40, &options).map_or(0, |f| f.len())),
        ),
        (
            "signs, 400 scored",
            0,
            Box::new(|| signs.search(&vectors, &query, 400, &options).map_or(0, |f| f.len())),
        ),
        (
            "64 queries",
            4,
            Box::new(|| search_batch(&vectors, &queries, &options).map_or(0, |f| f.len())),
        ),
    ];
    let mut best = [f64::INFINITY; 9];
    for _ in 0..9 {
        for (best, (_, _, run)) in best.iter_mut().zip(&ways) {
            let start = Instant::now();
            black_box(run());
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    let threads = rayon::current_num_threads();
    for (seconds, (name, width, _)) in best.iter().zip(&ways) {
        println!(
            "{{\"way\": \"{name}\", \"threads\": {threads}, \"rows\": {rows}, \"dim\": {dim}, \
             \"ms\": {:.2}, \"times_float32\": {:.2}, \"gb_per_s\": {:.1}}}",
            seconds * 1e3,
            best[1] / seconds,
            (rows * dim * width) as f64 / seconds / 1e9
        );
    }
    Ok(())
}
