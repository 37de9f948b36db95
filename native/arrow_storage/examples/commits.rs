//! What a durable write costs beside one bare `fdatasync`, as JSON lines.
//!
//! `cargo run --release -p arrow_storage --example commits -- FOLDER` (a folder on the disk in
//! question). Turns alternate, so that a busy machine slows both.

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field};
use arrow_storage::{Columns, Metric, Options, Store};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

fn batch(first: usize, rows: usize, dim: usize) -> RecordBatch {
    let ids: ArrayRef =
        Arc::new(Int64Array::from_iter_values((first..first + rows).map(|i| i as i64)));
    let values =
        Float32Array::from_iter_values((0..rows * dim).map(|i| (i * 7 + first) as f32 % 13.0));
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let size = i32::try_from(dim).unwrap_or(i32::MAX);
    let vectors: ArrayRef = Arc::new(FixedSizeListArray::new(item, size, Arc::new(values), None));
    RecordBatch::try_from_iter([("id", ids), ("vector", vectors)]).unwrap_or_else(|e| panic!("{e}"))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base: PathBuf = std::env::args_os().nth(1).ok_or("name a folder")?.into();
    for dim in [8, 384] {
        for rows in [1, 100, 10_000] {
            let folder = base.join(format!("commits-{dim}-{rows}"));
            let schema = batch(0, 1, dim).schema();
            let store = Store::create(
                &folder,
                schema,
                Columns::default(),
                Metric::Cosine,
                // Commits alone; what a flush costs is another question.
                Options { flush_bytes: u64::MAX, ..Options::default() },
            )?;
            let mut raw = File::create(folder.join("raw"))?;
            let bytes = vec![1; rows * (8 + 4 * dim)];
            let rounds = if rows == 10_000 { 12 } else { 60 };
            let (mut ours, mut bare) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                let batch = batch(round * rows, rows, dim);
                let start = Instant::now();
                store.add(&batch)?;
                ours.push(start.elapsed().as_secs_f64());
                let start = Instant::now();
                raw.write_all(&bytes)?;
                raw.sync_data()?;
                bare.push(start.elapsed().as_secs_f64());
            }
            let (ours, bare) = (median(ours), median(bare));
            println!(
                "{{\"dim\": {dim}, \"rows\": {rows}, \"ms\": {:.3}, \"fdatasync_ms\": {:.3}, \
                 \"ratio\": {:.2}, \"rows_per_s\": {:.0}}}",
                ours * 1e3,
                bare * 1e3,
                ours / bare,
                rows as f64 / ours
            );
            drop(store);
            std::fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}
