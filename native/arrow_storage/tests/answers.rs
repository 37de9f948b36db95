//! What searches and filters answer, against the same over plain rows, wherever the rows lie.

mod common;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use arrow_storage::{Columns, Compaction, Durability, Error, Id, Metric, Options, Query, Store};
use common::{DIM, batch, ids, vector};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const OPTIONS: Options = Options {
    durability: Durability::None,
    flush_bytes: 1 << 20,
    compaction: Compaction::Explicit,
};

fn create(folder: &Path, metric: Metric) -> Store {
    Store::create(folder, common::schema(), Columns::default(), metric, OPTIONS).unwrap()
}

fn numbers(batch: &RecordBatch, name: &str) -> Vec<f32> {
    batch[name].as_primitive::<Float32Type>().values().to_vec()
}

fn names(batch: &RecordBatch) -> Vec<i64> {
    batch["id"].as_primitive::<Int64Type>().values().to_vec()
}

fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f(f64::from(a), f64::from(b))).sum()
    };
    match metric {
        Metric::Cosine => 1.0 - sum(|a, b| a * b) / (sum(|a, _| a * a) * sum(|_, b| b * b)).sqrt(),
        Metric::InnerProduct => -sum(|a, b| a * b),
        Metric::L2 => sum(|a, b| (a - b) * (a - b)),
    }
}

/// Sizes of parts beside a word of 64 bits, what is deleted of all, and what a filter takes.
fn parts() -> impl Strategy<Value = (Vec<usize>, BTreeSet<i64>, BTreeSet<i64>)> {
    let sizes = prop::sample::select(vec![1, 3, 63, 64, 65, 127, 128, 130]);
    prop::collection::vec(sizes, 1..4).prop_flat_map(|sizes| {
        let most = sizes.iter().sum::<usize>() as i64;
        let some = prop::collection::btree_set(0..most, 0..40);
        (Just(sizes), some.clone(), some)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn filters_and_deletions_hold_for_every_way_to_read(
        (sizes, gone, chosen) in parts(),
        metric in prop::sample::select(Metric::ALL.to_vec()),
        log in any::<bool>(),
    ) {
        let folder = common::folder();
        let store = create(folder.path(), metric);
        let mut first = 0;
        for &size in &sizes {
            store.add(&batch(&(first..first + size as i64).map(|i| (i, 0)).collect::<Vec<_>>()))
                .unwrap();
            first += size as i64;
            if !log {
                store.flush().unwrap();
            }
        }
        let all: Vec<i64> = (0..first).collect();
        let deleted = store.delete(&ids(&gone.iter().copied().collect::<Vec<_>>())).unwrap();
        prop_assert_eq!(gone.len(), deleted);
        let list = chosen.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("id IN (-1{}{list})", if list.is_empty() { "" } else { ", " });
        for (text, takes) in [(text.clone(), true), (format!("NOT ({text})"), false)] {
            let filter: arrow_storage::Filter = text.parse().unwrap();
            let right: Vec<i64> = all
                .iter()
                .copied()
                .filter(|id| !gone.contains(id) && chosen.contains(id) == takes)
                .collect();
            let now = store.snapshot();
            prop_assert_eq!(right.len(), now.count_where(&filter).unwrap());
            let (_, found) = now.select(Some(filter.clone()), Some(&["text", "id"])).unwrap();
            let found: Vec<i64> = found.flat_map(|batch| names(&batch.unwrap())).collect();
            prop_assert_eq!(&right, &found);

            // Nearest first, and equals in the order of writing; many vectors as one at a time.
            let queries: Vec<[f32; DIM]> = [1, 40, first + 3].map(|id| vector(id, 1)).to_vec();
            let query = Query::new(9).filter(&filter);
            let together = now.search_batch(queries.as_flattened(), &query).unwrap();
            prop_assert_eq!(3, together.len());
            for (near, together) in queries.iter().zip(together) {
                let mut expected: Vec<f64> =
                    right.iter().map(|&id| distance(metric, near, &vector(id, 0))).collect();
                expected.sort_by(f64::total_cmp);
                expected.truncate(9);
                for found in [together, now.search(near, &query).unwrap()] {
                    let distances = numbers(&found, "_distance");
                    prop_assert_eq!(expected.len(), distances.len());
                    for ((best, answer), id) in expected.iter().zip(&distances).zip(names(&found)) {
                        let own = distance(metric, near, &vector(id, 0));
                        let close = |x: f64| (x - f64::from(*answer)).abs() <= 1e-4 * (1.0 + x.abs());
                        prop_assert!(close(*best) && close(own), "{best} {answer} {own}");
                        prop_assert!(right.contains(&id));
                    }
                    let pairs: Vec<_> = distances.iter().zip(names(&found)).collect();
                    let sorted = pairs.windows(2).all(|p| p[0].0 < p[1].0 || p[0].1 < p[1].1);
                    prop_assert!(sorted);
                }
            }
            let words = now.search_text("text", "0", &Query::new(1000).filter(&filter)).unwrap();
            // Every text ends with the word 0, and none has it twice but that of row 0.
            prop_assert_eq!(right.len(), words.num_rows());
        }
        let filter: arrow_storage::Filter = text.parse().unwrap();
        let there = chosen.difference(&gone).count();
        prop_assert_eq!(there, store.delete_where(&filter).unwrap());
        prop_assert_eq!(first as usize - gone.union(&chosen).count(), store.snapshot().count());
    }
}

/// A batch with two columns of texts.
fn two_texts(rows: &[(i64, String, String)]) -> RecordBatch {
    let plain: Vec<_> = rows.iter().map(|row| (row.0, 0)).collect();
    let mut columns = batch(&plain).columns()[..2].to_vec();
    columns.push(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.1))));
    columns.push(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.2))));
    let mut fields = common::schema().fields().to_vec();
    fields.push(Arc::new(Field::new("note", DataType::Utf8, false)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    /// Words of either column, and ranks of words and vectors together, over three parts.
    #[test]
    fn ranks_are_summed_as_deep_as_promised_and_columns_are_distinguished(
        seed in 0u64..1_000_000,
        k in prop::sample::select(vec![1usize, 5, 12, 13, 20, 40]),
    ) {
        let folder = common::folder();
        let mut state = seed;
        let mut pick = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            (state >> 33) % most
        };
        let mut text = || (0..1 + pick(4)).map(|_| ["a", "b", "c", "d"][pick(4) as usize])
            .collect::<Vec<_>>().join(" ");
        let rows: Vec<_> = (0..240).map(|id| (id, text(), text())).collect();
        let schema = two_texts(&[]).schema();
        let columns = Columns::default();
        let store = Store::create(folder.path(), schema, columns, Metric::L2, OPTIONS).unwrap();
        for rows in rows.chunks(80) {
            store.add(&two_texts(rows)).unwrap();
            store.flush().unwrap();
        }
        let now = store.snapshot();
        for (column, of) in [("text", 1), ("note", 2), ("text", 1)] {
            let found = now.search_text(column, "a", &Query::new(1000)).unwrap();
            let having: BTreeSet<i64> = rows.iter()
                .filter(|row| if of == 1 { &row.1 } else { &row.2 }.contains('a'))
                .map(|row| row.0).collect();
            prop_assert_eq!(having, names(&found).into_iter().collect::<BTreeSet<_>>());
            let scores = numbers(&found, "_score");
            prop_assert!(scores.iter().all(|&score| score > 0.0) && scores.is_sorted_by(|a, b| a >= b));
            // Equal scores are in the order of writing.
            let pairs: Vec<_> = scores.iter().zip(names(&found)).collect();
            prop_assert!(pairs.windows(2).all(|p| p[0].0 > p[1].0 || p[0].1 < p[1].1));
        }
        let near = vector(120, 0);
        let deep = Query::new((4 * k).max(50));
        let ranked = [
            names(&now.search(&near, &deep).unwrap()),
            names(&now.search_text("note", "a c", &deep).unwrap()),
        ];
        prop_assert!(ranked.iter().all(|ranked| ranked.len() == deep.k));
        let mut sums: BTreeMap<i64, f32> = BTreeMap::new();
        for (rank, &id) in ranked.iter().flat_map(|ranked| (1u8..).zip(ranked)) {
            *sums.entry(id).or_default() += 1.0 / (60.0 + f32::from(rank));
        }
        let place = |id| ranked.concat().iter().position(|&other| other == id);
        let mut expected: Vec<_> = sums.into_iter().collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(place(a.0).cmp(&place(b.0))));
        expected.truncate(k);
        let both = now.search_hybrid(&near, "note", "a c", &Query::new(k)).unwrap();
        let found: Vec<_> = names(&both).into_iter().zip(numbers(&both, "_score")).collect();
        prop_assert_eq!(expected, found);
    }
}

#[test]
fn words_of_rows_that_are_gone_count_no_more() {
    let scores = |gone: bool| {
        let folder = common::folder();
        let store = create(folder.path(), Metric::L2);
        let texts = ["cat", "cat dog", "dog", "cat cat cat cat cat cat cat bird", "dog cat bird"];
        let rows: Vec<_> = (0..5).map(|id| (id, 0)).collect();
        let mut columns = batch(&rows).columns().to_vec();
        columns[2] = Arc::new(StringArray::from(texts.to_vec()));
        let all = RecordBatch::try_new(common::schema(), columns).unwrap();
        if gone {
            store.add(&all).unwrap();
            store.flush().unwrap();
            store.delete(&ids(&[3, 4])).unwrap();
        } else {
            store.add(&all.slice(0, 3)).unwrap();
        }
        let found = store.snapshot().search_text("text", "cat dog", &Query::new(9)).unwrap();
        (names(&found), numbers(&found, "_score"))
    };

    assert_eq!(scores(false), scores(true));
}

#[test]
fn words_are_runs_of_letters_digits_and_underscores_in_lower_case() {
    let folder = common::folder();
    let store = create(folder.path(), Metric::L2);
    let texts = ["foo_bar", "foo bar", "FOO-1", "x1y", "ÄRGER", "foo foo"];
    let mut columns = batch(&(0..6).map(|id| (id, 0)).collect::<Vec<_>>()).columns().to_vec();
    columns[2] = Arc::new(StringArray::from(texts.to_vec()));
    store.add(&RecordBatch::try_new(common::schema(), columns).unwrap()).unwrap();
    let now = store.snapshot();
    let found = |text: &str| {
        names(&now.search_text("text", text, &Query::new(9)).unwrap())
            .into_iter()
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(BTreeSet::from([1, 2, 5]), found("Foo"));
    assert_eq!(BTreeSet::from([0]), found("FOO_bar"));
    assert_eq!(BTreeSet::from([2]), found("1"));
    assert_eq!(BTreeSet::from([3]), found("x1Y"));
    assert_eq!(BTreeSet::from([4]), found("ärger"));
    // A word that the query repeats counts once.
    let score = |text| numbers(&now.search_text("text", text, &Query::new(9)).unwrap(), "_score");
    assert_eq!(score("foo bar"), score("bar foo foo bar FOO"));
}

/// Ids that are texts, and columns of other names in another order.
#[test]
fn ids_may_be_texts_and_columns_have_any_names() {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let kind = DataType::FixedSizeList(item.clone(), DIM as i32);
    let schema = Arc::new(Schema::new(vec![
        Field::new("emb", kind, false),
        Field::new("n", DataType::Float32, true),
        Field::new("key", DataType::Utf8, false),
    ]));
    let rows = |rows: &[(&str, f32)]| {
        let values: Vec<f32> = rows.iter().flat_map(|&(_, v)| [v, 1.0, 0.0, 0.0]).collect();
        let values = Arc::new(Float32Array::from(values));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(FixedSizeListArray::new(item.clone(), DIM as i32, values, None)),
            Arc::new(Float32Array::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
        ];
        RecordBatch::try_new(schema.clone(), columns).unwrap()
    };
    let columns = Columns { id: "key".into(), vector: "emb".into() };
    let folder = common::folder();
    let contents = |store: &Store| {
        let mut all = BTreeMap::new();
        for batch in store.snapshot().batches().map(Result::unwrap) {
            let names = batch["key"].as_string::<i32>().iter().map(|name| name.unwrap().to_owned());
            for (name, value) in names.zip(numbers(&batch, "n")) {
                assert_eq!(None, all.insert(name, value));
            }
        }
        all
    };
    let right = |rows: &[(&str, f32)]| -> BTreeMap<String, f32> {
        rows.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
    };
    let store =
        Store::create(folder.path(), schema.clone(), columns.clone(), Metric::L2, OPTIONS).unwrap();
    store.add(&rows(&[("b", 1.0), ("a", 2.0), ("", 3.0), ("7", 4.0)])).unwrap();
    store.flush().unwrap();
    let twice = store.add(&rows(&[("c", 1.0), ("a", 9.0)])).unwrap_err();
    assert!(matches!(&twice, Error::DuplicateId { id, row: 1, .. } if id == "\"a\""), "{twice}");
    assert_eq!(2, store.upsert(&rows(&[("a", 5.0), ("d", 6.0)])).unwrap());
    let some = |names: &[&str]| names.iter().map(|&name| Id::from(name)).collect::<Vec<_>>();
    assert_eq!(2, store.delete(&some(&["b", "x", "b", "d"])).unwrap());
    assert_eq!(0, store.delete(&[Id::Int(7)]).unwrap());
    let left = right(&[("a", 5.0), ("", 3.0), ("7", 4.0)]);
    assert_eq!(left, contents(&store));
    for found in [store.get(&some(&["7", "b", "a"])), store.snapshot().get(&some(&["7", "b", "a"]))]
    {
        assert_eq!(vec![4.0, 5.0], numbers(&found.unwrap(), "n"));
    }
    assert_eq!(0, store.snapshot().get(&[Id::Int(7)]).unwrap().num_rows());
    drop(store);
    let store = Store::open(folder.path(), OPTIONS).unwrap();
    assert_eq!(left, contents(&store));
    let now = store.snapshot();
    assert_eq!((&columns, Metric::L2, DIM), (now.columns(), now.metric(), now.dimension()));
    let near = now.search(&[4.2, 1.0, 0.0, 0.0], &Query::new(2).columns(&["n"])).unwrap();
    assert_eq!(vec![4.0, 5.0], numbers(&near, "n"));
    store.compact().unwrap();
    assert_eq!(left, contents(&store));
    assert_eq!(3, Store::verify(folder.path()).unwrap().rows);
}

#[test]
fn approximate_answers_have_exact_distances_and_as_many_rows_as_wanted() {
    for metric in Metric::ALL {
        let folder = common::folder();
        let store = create(folder.path(), metric);
        store.add(&batch(&(0..4200).map(|id| (id, 1)).collect::<Vec<_>>())).unwrap();
        store.flush().unwrap();
        let few: arrow_storage::Filter = "id IN (5, 17, 4000)".parse().unwrap();
        for graph in [false, true] {
            if graph {
                store.create_index().unwrap();
                assert_eq!(4200, store.indexed());
            }
            let now = store.snapshot();
            for (k, width) in [(300, 1), (3, 64)] {
                let query = Query { width: Some(width), ..Query::new(k) };
                let queries = [vector(100, 1), vector(3000, 2)];
                let found = now.search_batch(queries.as_flattened(), &query).unwrap();
                for (near, found) in queries.iter().zip(&found) {
                    assert_eq!(k, found.num_rows(), "{metric:?} {graph}");
                    let distances = numbers(found, "_distance");
                    assert!(distances.is_sorted());
                    for (id, answer) in names(found).into_iter().zip(distances) {
                        let right = distance(metric, near, &vector(id, 1));
                        let close = (right - f64::from(answer)).abs() <= 1e-4 * (1.0 + right.abs());
                        assert!(close, "{metric:?} {graph} {id}: {right} {answer}");
                    }
                }
            }
            let exact = now.search(&vector(18, 1), &Query::new(9).filter(&few)).unwrap();
            let query = Query { width: Some(10), ..Query::new(9).filter(&few) };
            assert_eq!(exact, now.search(&vector(18, 1), &query).unwrap());
            assert_eq!(3, exact.num_rows());
        }
    }
}
