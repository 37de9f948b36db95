//! Searching a store by words, alone and together with vectors.

mod common;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use arrow_storage::{Columns, Error, Metric, Options, Query, Store};
use common::{batch, ids, schema, vector};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn create(folder: &Path) -> Store {
    let options = Options { flush_bytes: 4000, ..Options::default() };
    Store::create(folder, schema(), Columns::default(), Metric::L2, options).unwrap()
}

/// A batch with these texts; ids count from `first`.
fn texts(first: i64, texts: &[Option<&str>]) -> RecordBatch {
    let rows: Vec<_> = (first..).take(texts.len()).map(|id| (id, 0)).collect();
    let mut columns = batch(&rows).columns().to_vec();
    columns[2] = Arc::new(StringArray::from(texts.to_vec()));
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn found(batch: &RecordBatch) -> Vec<(i64, f32)> {
    let ids = batch["id"].as_primitive::<Int64Type>().values();
    let scores = batch["_score"].as_primitive::<Float32Type>().values();
    ids.iter().copied().zip(scores.iter().copied()).collect()
}

/// The formula, over all rows at once.
fn bm25(texts: &BTreeMap<i64, String>, query: &str) -> Vec<(i64, f64)> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let total: usize = texts.values().map(|text| words(text).len()).sum();
    let mean = (total as f64 / texts.len().max(1) as f64).max(1.0);
    let mut wanted = words(query);
    wanted.sort();
    wanted.dedup();
    let mut scores = Vec::new();
    for (&id, text) in texts {
        let own = words(text);
        let score: f64 = wanted
            .iter()
            .map(|word| {
                let having = texts.values().filter(|t| words(t).contains(word)).count() as f64;
                let idf = ((texts.len() as f64 - having + 0.5) / (having + 0.5)).ln_1p();
                let f = own.iter().filter(|w| *w == word).count() as f64;
                let long = 0.25 + 0.75 * own.len() as f64 / mean;
                idf * f * 2.2 / (f + 1.2 * long)
            })
            .sum();
        if score > 0.0 {
            scores.push((id, score));
        }
    }
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    scores
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn texts_are_ranked_by_the_formula(
        rows in prop::collection::vec("(a|b|c|d){1}( (a|b|c|d|e)){0,5}", 1..40),
        gone in prop::collection::vec(0i64..40, 0..8),
        query in "(a|b|e)( (a|c)){0,2}",
    ) {
        let folder = common::folder();
        let store = create(folder.path());
        for (first, rows) in (0..).step_by(7).zip(rows.chunks(7)) {
            let rows: Vec<_> = rows.iter().map(|row| Some(row.as_str())).collect();
            store.add(&texts(first, &rows)).unwrap();
        }
        store.delete(&ids(&gone)).unwrap();
        let left = (0..).zip(rows).filter(|(id, _)| !gone.contains(id)).collect();
        let expected = bm25(&left, &query);
        let all = store.snapshot().search_text("text", &query, &Query::new(50)).unwrap();
        let all = found(&all);
        prop_assert_eq!(expected.len(), all.len());
        for ((_, right), (_, score)) in expected.iter().zip(&all) {
            prop_assert!((right - f64::from(*score)).abs() < 1e-5);
        }
        for (id, score) in all {
            let right = expected.iter().find(|(other, _)| *other == id).unwrap().1;
            prop_assert!((right - f64::from(score)).abs() < 1e-5);
        }
    }
}

#[test]
fn words_have_no_case_and_hybrid_search_sums_ranks() {
    let folder = common::folder();
    let store = create(folder.path());
    let rows = [Some("Die Katze, die KATZE!"), None, Some("ein Hund"), Some("katze_1 Éclair")];
    store.add(&texts(0, &rows)).unwrap();
    let now = store.snapshot();
    let names = |text: &str| {
        let hits = now.search_text("text", text, &Query::new(9).columns(&["id"])).unwrap();
        found(&hits).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(vec![0], names("katze"));
    assert_eq!(vec![3], names("éclair"));
    assert!(names("").is_empty() && names("nothing ...").is_empty());

    let query = Query::new(3).columns(&["id"]);
    let both = now.search_hybrid(&vector(2, 0), "text", "hund katze", &query).unwrap();
    let both = found(&both);
    // By vector 2, 1 or 3, ...; by words 2 or 0 first.
    assert_eq!(2, both[0].0);
    let best = 1.0 / 61.0;
    assert!(both[0].1 > best && both[0].1 <= 2.0 * best, "{both:?}");
    assert_eq!(3, both.len());

    let number = now.search_text("id", "x", &query);
    assert!(matches!(number, Err(Error::Schema(_))));
    let nothing = now.search_text("nothing", "x", &query);
    assert!(matches!(nothing, Err(Error::NoColumn { .. })));
}

#[test]
fn equal_sums_of_ranks_are_in_the_order_of_the_vector_s() {
    let rows = vec![None; 120];
    let order = |texts_of: &[Option<&str>], words: &str, k: usize| {
        let folder = common::folder();
        let store = create(folder.path());
        store.add(&texts(0, texts_of)).unwrap();
        let query = Query::new(k).columns(&["id"]);
        let hits = store.snapshot().search_hybrid(&vector(2, 0), "text", words, &query).unwrap();
        found(&hits).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let near = order(&rows, "", 120);
    // The words stand where the ranking by the vector, which goes 50 deep, does not reach.
    let mut far = rows;
    for &id in &near[50..] {
        far[usize::try_from(id).unwrap()] = Some("wort");
    }
    let both = order(&far, "wort", 12);

    assert_eq!(near[..6].to_vec(), both.iter().copied().step_by(2).collect::<Vec<_>>());
}

#[test]
fn each_column_of_texts_is_searched_by_its_own_words() {
    let folder = common::folder();
    let mut fields = schema().fields().to_vec();
    fields.push(Arc::new(Field::new("title", DataType::Utf8, true)));
    let both = Arc::new(Schema::new(fields));
    let store = Store::create(
        folder.path(),
        both.clone(),
        Columns::default(),
        Metric::L2,
        Options::default(),
    );
    let store = store.unwrap();
    let mut columns = texts(0, &[Some("red"), Some("green"), Some("blue")]).columns().to_vec();
    columns.push(Arc::new(StringArray::from(vec!["one", "red", "two"])));
    store.add(&RecordBatch::try_new(both, columns).unwrap()).unwrap();
    let now = store.snapshot();
    let ids = |column: &str, text: &str| {
        let rows = found(&now.search_text(column, text, &Query::new(3)).unwrap());
        rows.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert_eq!(vec![0], ids("text", "red"));
        assert_eq!(vec![1], ids("title", "red"));
        assert_eq!(vec![2], ids("title", "two"));
        assert_eq!(Vec::<i64>::new(), ids("text", "two"));
    }
}
