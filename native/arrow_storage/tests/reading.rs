//! Reading a store in other ways than by distance: ids, filters, copies, graphs.

mod common;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type};
use arrow_array::{DictionaryArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use arrow_storage::{Columns, Error, Filter, Metric, Options, Query, Snapshot, Store};
use common::{batch, contents, ids, rows, schema, vector};
use std::path::Path;
use std::sync::Arc;

fn create(folder: &Path) -> Store {
    let options = Options { flush_bytes: 4000, ..Options::default() };
    Store::create(folder, schema(), Columns::default(), Metric::L2, options).unwrap()
}

#[test]
fn a_filter_counts_selects_and_deletes() {
    let folder = common::folder();
    let store = create(folder.path());
    for first in (0..300).step_by(50) {
        store.add(&batch(&(first..first + 50).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    }
    store.delete(&ids(&[7, 250])).unwrap();
    let filter = Filter::parse("id < 10 OR id >= 250").unwrap();
    let now = store.snapshot();
    assert_eq!(58, now.count_where(&filter).unwrap());
    let (schema, batches) = now.select(Some(filter.clone()), Some(&["id"])).unwrap();
    assert_eq!(1, schema.fields().len());
    assert_eq!(58, batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>());

    assert_eq!(58, store.delete_where(&filter).unwrap());
    assert_eq!(0, store.delete_where(&filter).unwrap());
    let left: Vec<i64> = (10..250).collect();
    assert_eq!(left, contents(&store.snapshot()).into_keys().collect::<Vec<_>>());
    drop(store);
    let again = Store::open(folder.path(), Options::default()).unwrap();
    assert_eq!(240, again.snapshot().count());
    let unfit = Filter::parse("year = 1").unwrap();
    assert!(matches!(again.delete_where(&unfit), Err(Error::Filter { .. })));
}

#[test]
fn a_snapshot_is_a_store_and_comes_back_whole() {
    let folder = common::folder();
    let (path, copy) = (folder.path().join("store"), folder.path().join("copy"));
    let store = create(&path);
    store.add(&batch(&(0..90).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    store.delete(&ids(&[3, 4])).unwrap();
    let before = contents(&store.snapshot());
    store.save_snapshot(&copy).unwrap();
    assert_eq!(88, Store::verify(&copy).unwrap().rows);
    assert!(matches!(store.save_snapshot(&copy), Err(Error::NotEmpty { .. })));

    store.upsert(&batch(&[(3, 1), (5, 1), (1000, 1)])).unwrap();
    store.flush().unwrap();
    let after = contents(&store.snapshot());
    let other = folder.path().join("other");
    let foreign =
        Store::create(&other, schema(), Columns::default(), Metric::Cosine, Options::default());
    foreign.unwrap().close().unwrap();
    assert!(matches!(store.restore_snapshot(&other), Err(Error::Schema(_))));
    let nothing = store.restore_snapshot(&folder.path().join("nothing"));
    assert!(matches!(nothing, Err(Error::NotAStore { .. })));
    assert_eq!(after, contents(&store.snapshot()));

    store.restore_snapshot(&copy).unwrap();
    assert_eq!(before, contents(&store.snapshot()));
    store.add(&batch(&[(3, 7)])).unwrap();
    drop(store);
    let again = Store::open(&path, Options::default()).unwrap();
    assert_eq!(Some(&7), contents(&again.snapshot()).get(&3));
    assert_eq!(88, Store::verify(&copy).unwrap().rows);
}

#[test]
fn parquet_holds_what_was_chosen() {
    let folder = common::folder();
    let store = create(&folder.path().join("store"));
    store.add(&batch(&(0..90).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    let path = folder.path().join("rows.parquet");
    let filter = Filter::parse("id >= 80").unwrap();
    let now = store.snapshot();
    assert_eq!(90, now.export_parquet(&path, None, None).unwrap());
    assert_eq!(10, now.export_parquet(&path, Some(filter), None).unwrap());
    let file = std::fs::File::open(&path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 1024);
    let found: Vec<RecordBatch> = reader.unwrap().map(Result::unwrap).collect();
    assert_eq!(10, found[0].num_rows());
    assert_eq!(80, found[0]["id"].as_primitive::<Int64Type>().value(0));
    let values = found[0]["vector"].as_fixed_size_list().value(9);
    assert_eq!(vector(89, 0).to_vec(), values.as_primitive::<Float32Type>().values().to_vec());
    assert!(now.export_parquet(&folder.path().join("no/rows"), None, None).is_err());
    assert_eq!(2, std::fs::read_dir(folder.path()).unwrap().count());
}

fn near(now: &Snapshot, width: Option<usize>, filter: Option<&Filter>) -> Vec<i64> {
    let query = Query { width, filter, ..Query::new(10) };
    let found = now.search(&vector(2000, 3), &query).unwrap();
    found["id"].as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn approximate_search_uses_codes_then_a_graph_and_survives_damage_to_it() {
    let folder = common::folder();
    let options = Options::default();
    let store =
        Store::create(folder.path(), schema(), Columns::default(), Metric::L2, options).unwrap();
    store.add(&batch(&(0..5000).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    store.compact().unwrap();
    let exact = near(&store.snapshot(), None, None);
    let hits = |found: &[i64]| found.iter().filter(|id| exact.contains(id)).count();
    assert!(hits(&near(&store.snapshot(), Some(200), None)) >= 8);
    assert_eq!(0, store.indexed());

    let reader = Store::open_read_only(folder.path(), options).unwrap();
    near(&reader.snapshot(), Some(200), None);
    store.create_index().unwrap();
    assert_eq!((5000, 5000), (store.indexed(), reader.indexed()));
    assert!(hits(&near(&reader.snapshot(), Some(200), None)) >= 8);
    assert!(hits(&near(&store.snapshot(), Some(200), None)) >= 8);
    let few = Filter::parse("id IN (1, 2, 4999)").unwrap();
    assert_eq!(3, near(&store.snapshot(), Some(200), Some(&few)).len());
    store.delete(&ids(&exact[..5])).unwrap();
    let left = near(&store.snapshot(), Some(200), None);
    assert!(left.len() == 10 && left.iter().all(|id| !exact[..5].contains(id)));

    store.compact().unwrap();
    assert_eq!(4995, store.indexed());
    let graphs = || {
        let names = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|e| e == "graph")).collect::<Vec<_>>()
    };
    assert_eq!(1, graphs().len());
    store.close().unwrap();
    std::fs::write(&graphs()[0], b"damaged").unwrap();
    let again = Store::open(folder.path(), options).unwrap();
    assert_eq!(left.len(), near(&again.snapshot(), Some(200), None).len());
    again.create_index().unwrap();
    assert!(std::fs::metadata(&graphs()[0]).unwrap().len() > 1000);
    assert!(matches!(
        Store::open_read_only(folder.path(), options).unwrap().create_index(),
        Err(Error::ReadOnly)
    ));
}

#[test]
fn rows_by_id_read_no_vectors_but_their_own() {
    let folder = common::folder();
    let store = create(folder.path());
    store.add(&batch(&(0..20_000).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    let mut files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let segment = files.find(|path| path.extension().is_some_and(|e| e == "arrow")).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let spoilt = vector(15_000, 0).map(f32::to_le_bytes);
    let at = bytes.windows(4 * 4).position(|some| some == spoilt.as_flattened()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let now = Store::open_read_only(folder.path(), Options::default()).unwrap().snapshot();
    assert_eq!(vec![(9000, 0), (3, 0)], rows(&now.get(&ids(&[9000, 3])).unwrap()));
    assert!(matches!(now.get(&ids(&[15_000])), Err(Error::Corrupt { .. })));
}

#[test]
fn columns_with_dictionaries_come_back() {
    let folder = common::folder();
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut fields = schema().fields().to_vec();
    fields.push(Arc::new(Field::new("kind", kind, true)));
    let wide = Arc::new(Schema::new(fields));
    let rows = |first: i64, kinds: &[Option<&str>]| {
        let plain: Vec<_> = (first..).take(kinds.len()).map(|id| (id, 0)).collect();
        let mut columns = batch(&plain).columns().to_vec();
        let kinds: DictionaryArray<Int32Type> = kinds.iter().copied().collect();
        columns.push(Arc::new(kinds));
        RecordBatch::try_new(wide.clone(), columns).unwrap()
    };
    let (first, second) =
        (rows(0, &[Some("a"), None, Some("b")]), rows(3, &[Some("c"), Some("a")]));
    let options = Options::default();
    let store = Store::create(folder.path(), wide.clone(), Columns::default(), Metric::L2, options)
        .unwrap();
    store.add(&first).unwrap();
    store.flush().unwrap();
    store.add(&second).unwrap();
    store.compact().unwrap();
    store.close().unwrap();

    let store = Store::open(folder.path(), options).unwrap();
    let back = store.get(&ids(&[0, 1, 2, 3, 4])).unwrap();
    let kinds = arrow_cast::cast(&back["kind"], &DataType::Utf8).unwrap();
    let kinds: Vec<_> = kinds.as_string::<i32>().iter().collect();
    assert_eq!(vec![Some("a"), None, Some("b"), Some("c"), Some("a")], kinds);
}
