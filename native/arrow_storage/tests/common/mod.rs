//! Stores of small rows, for tests.
#![allow(dead_code, reason = "each test uses a part")]

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_storage::{Id, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const DIM: usize = 4;

/// A folder in memory where the system has such: these tests wait for a disk thousands of times, and
/// none of them needs one. The crash test does, and has one.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn schema() -> SchemaRef {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("vector", DataType::FixedSizeList(item, DIM as i32), false),
        Field::new("text", DataType::Utf8, true),
    ]))
}

/// The vector of a row: a function of its id and version, so that a half write shows.
pub fn vector(id: i64, version: i64) -> [f32; DIM] {
    [id as f32, version as f32, (id * 7 + version) as f32 % 13.0, 1.0]
}

pub fn batch(rows: &[(i64, i64)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)));
    let values: Vec<f32> = rows.iter().flat_map(|&(id, v)| vector(id, v)).collect();
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let values = Arc::new(Float32Array::from(values));
    let vectors = Arc::new(FixedSizeListArray::new(item, DIM as i32, values, None));
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(id, v)| format!("{id}@{v}"))));
    RecordBatch::try_new(schema(), vec![ids, vectors, texts]).unwrap()
}

/// What a batch holds: version by id; every column must agree.
pub fn rows(batch: &RecordBatch) -> Vec<(i64, i64)> {
    let ids = batch["id"].as_primitive::<Int64Type>();
    let (vectors, texts) = (batch["vector"].as_fixed_size_list(), batch["text"].as_string::<i32>());
    (0..batch.num_rows())
        .map(|row| {
            let values = vectors.value(row);
            let values = values.as_primitive::<Float32Type>().values().to_vec();
            let (id, version) = (ids.value(row), values[1] as i64);
            assert_eq!(vector(id, version).to_vec(), values);
            assert_eq!(format!("{id}@{version}"), texts.value(row));
            (id, version)
        })
        .collect()
}

/// All rows of a snapshot; no id may come twice.
pub fn contents(snapshot: &Snapshot) -> BTreeMap<i64, i64> {
    let mut found = BTreeMap::new();
    for batch in snapshot.batches() {
        for (id, version) in rows(&batch.unwrap()) {
            assert_eq!(None, found.insert(id, version), "id {id} twice");
        }
    }
    assert_eq!(found.len(), snapshot.count());
    found
}

pub fn ids(ids: &[i64]) -> Vec<Id> {
    ids.iter().map(|&id| Id::Int(id)).collect()
}
