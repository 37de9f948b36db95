//! Columns of every type, batches that do not fit, and the words that programs know errors by.

mod common;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int64Array, LargeStringArray,
    ListArray, NullArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_storage::{Columns, Compaction, Durability, Error, Metric, Options, Query, Store};
use common::{DIM, batch, ids, schema, vector};
use std::path::Path;
use std::sync::Arc;

const OPTIONS: Options = Options {
    durability: Durability::None,
    flush_bytes: 1 << 30,
    compaction: Compaction::Explicit,
};

fn create(folder: &Path, schema: SchemaRef) -> Result<Store, Error> {
    Store::create(folder, schema, Columns::default(), Metric::L2, OPTIONS)
}

/// Rows with a column of each type.
fn every_type(count: i64) -> RecordBatch {
    let some = |i: i64| i % 5 > 0;
    let lists = (0..count).map(|i| some(i).then(|| vec![Some(i as i32), None, Some(7)]));
    let inner: Vec<(Arc<Field>, ArrayRef)> = vec![
        (
            Arc::new(Field::new("a", DataType::Int64, true)),
            Arc::new(Int64Array::from_iter((0..count).map(|i| some(i).then_some(i * 3)))),
        ),
        (
            Arc::new(Field::new("b", DataType::Utf8, true)),
            Arc::new(StringArray::from_iter((0..count).map(|i| some(i).then(|| format!("b{i}"))))),
        ),
    ];
    let fixed = (0..count).map(|i| some(i).then(|| (i * 977).to_le_bytes()));
    let plain = batch(&(0..count).map(|id| (id, 0)).collect::<Vec<_>>());
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "flag",
            Arc::new(BooleanArray::from_iter((0..count).map(|i| some(i).then_some(i % 3 == 0)))),
        ),
        ("tiny", Arc::new(Int8Array::from_iter((0..count).map(|i| some(i).then_some(i as i8))))),
        ("id", plain["id"].clone()),
        (
            "wide",
            Arc::new(LargeStringArray::from_iter(
                (0..count).map(|i| some(i).then(|| format!("w{i}"))),
            )),
        ),
        ("vector", plain["vector"].clone()),
        ("none", Arc::new(NullArray::new(count as usize))),
        (
            "bytes",
            Arc::new(BinaryArray::from_iter((0..count).map(|i| some(i).then(|| i.to_le_bytes())))),
        ),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
        ("both", Arc::new(StructArray::from(inner))),
        (
            "fixed",
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 8).unwrap()),
        ),
        ("real", Arc::new(Float64Array::from_iter_values((0..count).map(|i| i as f64 / 3.0)))),
        ("day", Arc::new(Date32Array::from_iter_values((0..count).map(|i| i as i32)))),
        (
            "time",
            Arc::new(TimestampMillisecondArray::from_iter_values((0..count).map(|i| i * 999))),
        ),
        (
            "price",
            Arc::new(Decimal128Array::from_iter_values((0..count).map(|i| i128::from(i) * 77))),
        ),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| {
            Field::new(*name, column.data_type().clone(), !matches!(*name, "id" | "vector"))
        })
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Whatever block is damaged, each column is as it was written or an error.
#[test]
fn no_column_of_any_type_is_read_damaged() {
    const BLOCK: usize = 64 << 10;
    let all = every_type(7000);
    let folder = common::folder();
    let store = create(folder.path(), all.schema()).unwrap();
    store.add(&all).unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = names.filter(|path| path.extension().is_some_and(|e| e == "arrow")).last().unwrap();
    let sound = std::fs::read(&path).unwrap();
    assert!(sound.len() > 12 * BLOCK);
    for damaged in (0..=sound.len() / BLOCK).map(Some).chain([None]) {
        let mut bytes = sound.clone();
        let mut spots = 0;
        if let Some(block) = damaged {
            // A byte of each kilobyte, so that every buffer in the block is hit.
            for at in (block * BLOCK + 500..sound.len().min((block + 1) * BLOCK)).step_by(1024) {
                bytes[at] ^= 0x10;
                spots += 1;
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let Ok(store) = Store::open_read_only(folder.path(), OPTIONS) else {
            assert!(spots > 0);
            continue;
        };
        let now = store.snapshot();
        let mut errors = 0;
        for field in all.schema().fields() {
            let (_, mut batches) = now.select(None, Some(&[field.name()])).unwrap();
            match batches.next().unwrap() {
                Ok(found) => assert_eq!(&all[field.name().as_str()], found.column(0), "{field}"),
                Err(Error::Corrupt { .. }) => errors += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(spots > 0, errors > 0, "{damaged:?}");
        assert!(errors < 9, "{damaged:?}: {errors} columns");
    }
}

#[test]
fn schemas_that_cannot_be_a_store_s_are_refused() {
    let list = |item: DataType, size| {
        DataType::FixedSizeList(Arc::new(Field::new("item", item, true)), size)
    };
    let vectors = list(DataType::Float32, 4);
    for (columns, part) in [
        (vec![("id", DataType::Int32), ("vector", vectors.clone())], "must be Int64 or Utf8"),
        (vec![("id", DataType::LargeUtf8), ("vector", vectors.clone())], "must be Int64 or Utf8"),
        (vec![("id", DataType::Int64), ("vector", list(DataType::Float64, 4))], "of Float32"),
        (vec![("id", DataType::Int64), ("vector", list(DataType::Float32, 0))], "of Float32"),
        (vec![("id", DataType::Int64), ("vector", DataType::Float32)], "of Float32"),
        (vec![("id", DataType::Int64), ("vectors", vectors.clone())], "no column \"vector\""),
        (vec![("ids", DataType::Int64), ("vector", vectors.clone())], "no column \"id\""),
        (
            vec![
                ("id", DataType::Int64),
                ("x", DataType::Int8),
                ("vector", vectors),
                ("x", DataType::Int8),
            ],
            "two columns are named \"x\"",
        ),
    ] {
        let fields: Vec<Field> =
            columns.into_iter().map(|(name, kind)| Field::new(name, kind, false)).collect();
        let folder = common::folder();
        let error =
            create(&folder.path().join("new"), Arc::new(Schema::new(fields))).err().unwrap();
        assert!(error.to_string().contains(part), "{error}");
        assert!(!folder.path().join("new").exists());
    }
}

/// A batch of the usual columns, of these ids, values and texts.
fn rows(ids: &[Option<i64>], values: &[f32], texts: &[Option<&str>]) -> RecordBatch {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(FixedSizeListArray::new(
            item.clone(),
            DIM as i32,
            Arc::new(Float32Array::from(values.to_vec())),
            None,
        )),
        Arc::new(StringArray::from(texts.to_vec())),
    ];
    let fields = vec![
        Field::new("id", DataType::Int64, true),
        Field::new("vector", DataType::FixedSizeList(item, DIM as i32), true),
        Field::new("text", DataType::Utf8, true),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[test]
fn the_row_and_the_value_that_do_not_fit_are_named() {
    let folder = common::folder();
    let mut fields = schema().fields().to_vec();
    fields[2] = Arc::new(Field::new("text", DataType::Utf8, false));
    let store = create(folder.path(), Arc::new(Schema::new(fields))).unwrap();
    let (known, texts) = ([Some(1), Some(2), Some(3)], [Some("a"), Some("b"), Some("c")]);
    let values: Vec<f32> = (0..12u8).map(f32::from).collect();
    let with = |at: usize, value: f32| {
        let mut values = values.clone();
        values[at] = value;
        store.add(&rows(&known, &values, &texts)).unwrap_err()
    };
    for (at, row) in [(0, 0), (3, 0), (4, 1), (11, 2)] {
        assert!(matches!(with(at, f32::NAN), Error::NotFinite { row: found, .. } if found == row));
        let infinite = with(at, f32::NEG_INFINITY);
        assert!(matches!(infinite, Error::NotFinite { row: r, value } if r == row && value < 0.0));
        let large = with(at, -1.1e16);
        assert!(matches!(large, Error::TooLarge { row: r, value } if r == row && value < -1e16));
    }
    let null = store.add(&rows(&[Some(1), Some(2), None], &values, &texts)).unwrap_err();
    assert!(matches!(&null, Error::Null { column, row: 2 } if column == "id"), "{null}");
    let null = store.add(&rows(&known, &values, &[Some("a"), None, None])).unwrap_err();
    assert!(matches!(&null, Error::Null { column, row: 1 } if column == "text"), "{null}");
    let swapped = rows(&known, &values, &texts).project(&[1, 0, 2]).unwrap();
    assert!(matches!(store.add(&swapped), Err(Error::Schema(_))));
    assert_eq!(0, store.snapshot().count());
    assert_eq!(0, store.add(&rows(&[], &[], &[])).unwrap());
    let mut far = values.clone();
    (far[5], far[6]) = (1e16, -1e16);
    assert_eq!(3, store.add(&rows(&known, &far, &texts)).unwrap());
    let next = rows(&[Some(4), Some(5), Some(6)], &values, &texts);
    assert_eq!(3, store.upsert(&next).unwrap());
}

/// A slice of a larger batch is its own rows, whatever stands before them.
#[test]
fn slices_of_batches_are_stored_as_they_are() {
    let folder = common::folder();
    let store = create(folder.path(), schema()).unwrap();
    let all = batch(&(0..100).map(|id| (id, 2)).collect::<Vec<_>>());
    for (start, length) in [(90, 10), (3, 1), (40, 17)] {
        assert_eq!(length, store.add(&all.slice(start, length)).unwrap());
    }
    for _ in 0..2 {
        let found = common::contents(&store.snapshot());
        assert!((90..100).chain(3..4).chain(40..57).all(|id| found.get(&id) == Some(&2)));
        assert_eq!(28, found.len());
        let near = store.snapshot().search(&vector(43, 2), &Query::new(1)).unwrap();
        assert_eq!(0.0, near["_distance"].as_primitive::<Float32Type>().value(0));
        store.flush().unwrap();
    }
}

#[test]
fn queries_of_other_lengths_are_refused() {
    let folder = common::folder();
    let store = create(folder.path(), schema()).unwrap();
    store.add(&batch(&[(1, 0), (2, 0)])).unwrap();
    let now = store.snapshot();
    for length in [0, 1, 3, 5, 7] {
        let found = now.search_batch(&vec![1.0; length], &Query::new(3));
        assert!(matches!(found, Err(Error::Search(_))), "{length}");
    }
    assert_eq!(2, now.search_batch(&[1.0; 8], &Query::new(3)).unwrap().len());
    assert!(now.search(&[f32::NAN, 0.0, 0.0, 0.0], &Query::new(3)).is_err());
    assert_eq!(0, now.search(&[1.0; 4], &Query::new(0)).unwrap().num_rows());
}

#[test]
fn parts_of_many_rows_alone_get_graphs() {
    let folder = common::folder();
    let store = create(folder.path(), schema()).unwrap();
    for (first, count) in [(0, 4095), (10_000, 4096)] {
        store.add(&batch(&(first..first + count).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
        store.flush().unwrap();
    }
    store.create_index().unwrap();
    assert_eq!(4096, store.indexed());
    store.delete(&ids(&[10_000, 3])).unwrap();
    assert_eq!(4095, store.indexed());
}

#[test]
fn a_thread_joins_what_many_flushes_leave_and_only_if_it_may() {
    for (compaction, most) in [(Compaction::Background, 12), (Compaction::Explicit, 80)] {
        let folder = common::folder();
        let options = Options { compaction, ..OPTIONS };
        let columns = Columns::default();
        let store = Store::create(folder.path(), schema(), columns, Metric::L2, options).unwrap();
        for id in 0..80 {
            store.add(&batch(&[(id, 0)])).unwrap();
            store.flush().unwrap();
        }
        // The next flush begins what the last one left to a thread that was ending.
        while compaction == Compaction::Background && store.stats().unwrap().segments > most {
            store.flush().unwrap();
            std::thread::yield_now();
        }
        let found = common::contents(&store.snapshot());
        assert_eq!(80, found.len());
        store.close().unwrap();
        let report = Store::verify(folder.path()).unwrap();
        assert_eq!(80, report.rows);
        assert!(if most == 80 { report.segments == 80 } else { report.segments <= most });
    }
}

#[test]
fn a_log_becomes_a_segment_when_it_has_grown_to_what_is_asked_for() {
    let folder = common::folder();
    let options = Options { flush_bytes: 20_000, ..OPTIONS };
    let columns = Columns::default();
    let store = Store::create(folder.path(), schema(), columns, Metric::L2, options).unwrap();
    let mut before = store.stats().unwrap();
    for id in 0..60 {
        store.add(&batch(&[(id, 0)])).unwrap();
        let after = store.stats().unwrap();
        if after.segments > before.segments {
            assert!(before.bytes < 20_000 + 4096 * 8, "{before:?}");
            assert!(id > 5, "a record takes about a kilobyte");
            return;
        }
        before = after;
    }
    panic!("{before:?}");
}

#[test]
fn errors_have_words_that_stay() {
    let (path, name) = (std::path::PathBuf::new, String::new);
    let io = || std::io::Error::other("x");
    let search = vector_search::Error::Length { what: "query", found: 1, expected: 2 };
    let all = [
        (Error::NotAStore { path: path() }, "not_a_store"),
        (Error::NotEmpty { path: path() }, "not_empty"),
        (Error::Newer { path: path(), found: 2, known: 1 }, "newer"),
        (Error::Locked { path: path() }, "locked"),
        (Error::Forked { process: 1 }, "forked"),
        (Error::Removed { path: path() }, "removed"),
        (Error::ReadOnly, "read_only"),
        (Error::Corrupt { path: path(), at: 0, what: name() }, "corrupt"),
        (Error::Stopped { reason: name() }, "stopped"),
        (Error::Schema(name()), "schema"),
        (Error::NoColumn { name: name(), known: vec![] }, "no_column"),
        (Error::DuplicateId { id: name(), row: 0, twice: true }, "duplicate_id"),
        (Error::Null { column: name(), row: 0 }, "null"),
        (Error::NotFinite { row: 0, value: 0.0 }, "not_finite"),
        (Error::TooLarge { row: 0, value: 0.0 }, "too_large"),
        (Error::Filter { text: name(), at: 1, what: name() }, "filter"),
        (Error::Search(search), "search"),
        (Error::Arrow(arrow_schema::ArrowError::DivideByZero), "arrow"),
        (Error::Io { path: path(), source: io() }, "io"),
    ];
    for (error, word) in all {
        assert_eq!(word, error.kind());
    }
    let defaults = Options::default();
    assert_eq!(
        (Durability::Commit, 64 << 20, Compaction::Background),
        (defaults.durability, defaults.flush_bytes, defaults.compaction)
    );
}
