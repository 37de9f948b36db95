//! How fast one matrix is quantized and multiplied with, and how much is lost: one JSON object a line.
//!
//!     cargo run --release -p arrow_quant --example quant_speed [threads [case [instructions]]]

use arrow_quant::{
    Activations, Level, ParamFormat, Quality, QuantizedMatrix, Scheme, Weight, linear::linear_at,
    quantize, relative_error,
};
use std::time::Instant;

const SIZE: usize = 4096;

fn gaussian(count: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 40) as f32 + 0.5) / (1u64 << 24) as f32
    };
    (0..count)
        .map(|_| (-2.0 * uniform().ln()).sqrt() * (std::f32::consts::TAU * uniform()).cos())
        .collect()
}

/// Processor time of this process, which others disturb less than the clock.
fn now(threads: usize) -> f64 {
    if threads > 1 {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        return START.get_or_init(Instant::now).elapsed().as_secs_f64();
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is there to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn best(threads: usize, rounds: usize, mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let begun = now(threads);
        work();
        best = best.min(now(threads) - begun);
    }
    best
}

fn products(matrix: &QuantizedMatrix<'_>, threads: usize, level: Level) -> String {
    let mut all = Vec::new();
    for batch in [1, 8, 64, 256] {
        let x = gaussian(batch * SIZE);
        let mut out = vec![0.0; batch * SIZE];
        for activations in [Activations::Int8, Activations::Float32] {
            let rounds = if activations == Activations::Int8 { 400 / batch + 3 } else { 2 };
            let seconds = best(threads, rounds, || {
                linear_at(matrix, &x, batch, activations, &mut out, threads, level).unwrap();
            });
            all.push(format!("\"{activations:?} {batch} ms\": {:.3}", seconds * 1e3));
        }
    }
    all.join(", ")
}

fn main() {
    let threads = std::env::args().nth(1).map_or(1, |n| n.parse().unwrap());
    let weights = gaussian(SIZE * SIZE);
    let view = Weight::f32(&weights, SIZE, SIZE).unwrap();
    let cases = [
        (4, Some(64), false, ParamFormat::F16),
        (4, Some(64), true, ParamFormat::F16),
        (4, Some(32), true, ParamFormat::F16),
        (4, Some(32), false, ParamFormat::U6),
        (4, Some(32), false, ParamFormat::U4),
        (3, Some(32), false, ParamFormat::U4),
        (2, Some(64), false, ParamFormat::F16),
        (2, Some(16), false, ParamFormat::U4),
        (2, Some(32), false, ParamFormat::U4),
        (8, None, true, ParamFormat::F16),
    ];
    let named = std::env::args().nth(3);
    let level = Level::available()
        .into_iter()
        .rfind(|level| named.as_ref().is_none_or(|name| level.name() == name))
        .unwrap();
    println!("{{\"level\": {:?}, \"threads\": {threads}}}", level.name());
    let only: Option<usize> = std::env::args().nth(2).map(|n| n.parse().unwrap());
    for (case, (bits, group, symmetric, params)) in cases.into_iter().enumerate() {
        if only.is_some_and(|only| only != case) {
            continue;
        }
        let scheme = Scheme::new(bits, group, symmetric, params).unwrap();
        for quality in [Quality::Fast, Quality::Search(None)] {
            let mut matrix = None;
            let seconds = best(threads, 3, || {
                matrix = Some(quantize(&view, scheme, quality, threads).unwrap());
            });
            let matrix = matrix.unwrap();
            let error = relative_error(&matrix, &view, None, threads).unwrap();
            println!(
                "{{\"bits\": {bits}, \"group\": {:?}, \"symmetric\": {symmetric}, \"params\": \
                 \"{params:?}\", \"bpw\": {:.3}, \"quality\": \"{quality:?}\", \"GB/s\": {:.3}, \
                 \"error\": {error:.5}}}",
                group.unwrap_or(SIZE),
                matrix.bits_per_weight(),
                (SIZE * SIZE * 4) as f64 / seconds / 1e9,
            );
            if matches!(quality, Quality::Fast) {
                println!("{{{}}}", products(&matrix, threads, level));
            }
        }
    }
}
