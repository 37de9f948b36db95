//! What a store does, against a map, and what it refuses.

mod common;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_storage::files::{Disk, Files, Sink};
use arrow_storage::{
    Columns, Compaction, Durability, Error, Filter, Metric, Options, Query, Store,
};
use common::{DIM, batch, contents, ids, rows, schema, vector};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Flushes often, so that a few writes meet segments of all kinds.
const SMALL: Options =
    Options { durability: Durability::None, flush_bytes: 6000, compaction: Compaction::Background };

fn create(folder: &Path) -> Store {
    Store::create(folder, schema(), Columns::default(), Metric::L2, SMALL).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<i64>),
    Upsert(Vec<i64>),
    Delete(Vec<i64>),
    Flush,
    Optimize,
    Compact,
    Close,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    let some =
        || prop::collection::btree_set(0..60i64, 1..20).prop_map(|s| s.into_iter().collect());
    prop_oneof![
        3 => some().prop_map(Step::Add),
        4 => some().prop_map(Step::Upsert),
        3 => some().prop_map(Step::Delete),
        1 => Just(Step::Flush),
        1 => Just(Step::Optimize),
        1 => Just(Step::Compact),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn behaves_as_a_map(steps in prop::collection::vec(step(), 1..40)) {
        let folder = common::folder();
        let mut store = create(folder.path());
        let mut model = BTreeMap::new();
        for (version, step) in (0i64..).zip(steps) {
            let held = store.snapshot();
            let before = model.clone();
            let rows_of = |ids: &[i64]| ids.iter().map(|&id| (id, version)).collect::<Vec<_>>();
            match step {
                Step::Add(ids) => {
                    let taken = ids.iter().any(|id| model.contains_key(id));
                    prop_assert_eq!(taken, store.add(&batch(&rows_of(&ids))).is_err());
                    if !taken {
                        model.extend(rows_of(&ids));
                    }
                }
                Step::Upsert(ids) => {
                    prop_assert_eq!(ids.len(), store.upsert(&batch(&rows_of(&ids))).unwrap());
                    model.extend(rows_of(&ids));
                }
                Step::Delete(gone) => {
                    let there = gone.iter().filter(|id| model.remove(id).is_some()).count();
                    prop_assert_eq!(there, store.delete(&ids(&gone)).unwrap());
                }
                Step::Flush => store.flush().unwrap(),
                Step::Optimize => store.optimize().unwrap(),
                Step::Compact => store.compact().unwrap(),
                Step::Close => {
                    store.close().unwrap();
                    store = Store::open(folder.path(), SMALL).unwrap();
                    prop_assert_eq!(0, store.recovery().dropped);
                }
                Step::Drop => {
                    drop(store);
                    store = Store::open(folder.path(), SMALL).unwrap();
                }
            }
            prop_assert_eq!(&model, &contents(&store.snapshot()));
            prop_assert_eq!(&before, &contents(&held));
            let wanted = [59, 3, 17, 3, 40];
            let expected: Vec<_> =
                wanted.iter().filter_map(|id| model.get(id).map(|&v| (*id, v))).collect();
            prop_assert_eq!(&expected, &rows(&store.get(&ids(&wanted)).unwrap()));
            prop_assert_eq!(&expected, &rows(&store.snapshot().get(&ids(&wanted)).unwrap()));
        }
        let reader = Store::open_read_only(folder.path(), SMALL).unwrap();
        prop_assert_eq!(&model, &contents(&reader.snapshot()));
        prop_assert_eq!(model.len(), Store::verify(folder.path()).unwrap().rows);
        let found = store.snapshot().search(&vector(5, 2), &Query::new(7)).unwrap();
        let distance = |id: i64, version| {
            vector(5, 2).iter().zip(vector(id, version)).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
        };
        let mut all: Vec<f32> = model.iter().map(|(&id, &v)| distance(id, v)).collect();
        all.sort_by(f32::total_cmp);
        all.truncate(7);
        let columns = found.project(&[0, 1, 2]).unwrap();
        let found: Vec<f32> = rows(&columns).iter().map(|&(id, v)| distance(id, v)).collect();
        prop_assert_eq!(all, found);
    }
}

#[test]
fn a_search_keeps_to_filter_and_columns() {
    let folder = common::folder();
    let store = create(folder.path());
    store.add(&batch(&(0..100).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    let snapshot = store.snapshot();
    let even = Filter::parse("text LIKE '%0@0' OR id IN (48, 52, 54)").unwrap();
    let near = vector(51, 0);
    let query = Query::new(3).filter(&even).columns(&["text", "id"]);
    let found = snapshot.search(&near, &query).unwrap();
    let names: Vec<_> = found.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(vec!["text", "id", "_distance"], names);
    let found = found["id"].to_data();
    assert!(found.buffer::<i64>(0)[..3].iter().all(|id| id % 2 == 0));
    let missing = query.columns(&["nothing"]);
    assert!(matches!(snapshot.search(&near, &missing), Err(Error::NoColumn { .. })));
    assert!(matches!(snapshot.search(&near[..3], &query), Err(Error::Search(_))));
    let foreign = Filter::parse("year = 3").unwrap();
    let unfit = snapshot.search(&near, &Query::new(3).filter(&foreign));
    assert!(matches!(unfit, Err(Error::Filter { at: 1, .. })));
}

#[test]
fn unfit_writes_change_nothing() {
    let folder = common::folder();
    let store = create(folder.path());
    store.add(&batch(&[(1, 0), (2, 0)])).unwrap();
    let twice = store.upsert(&batch(&[(3, 0), (3, 1)]));
    assert!(matches!(twice, Err(Error::DuplicateId { row: 1, twice: true, .. })));
    let there = store.add(&batch(&[(3, 0), (2, 1)]));
    assert!(matches!(there, Err(Error::DuplicateId { row: 1, twice: false, .. })));
    let narrow: RecordBatch = batch(&[(3, 0)]).project(&[0, 1]).unwrap();
    assert!(matches!(store.add(&narrow), Err(Error::Schema(_))));
    assert_eq!(BTreeMap::from([(1, 0), (2, 0)]), contents(&store.snapshot()));
    assert_eq!(0, store.delete(&["text".into()]).unwrap());
}

/// Fault V6: a vector is taken where all scores with it are finite, or refused.
#[test]
fn vectors_that_are_too_long_are_refused_and_others_found() {
    for metric in Metric::ALL {
        let folder = common::folder();
        let (schema, columns) = (schema(), Columns::default());
        let store = Store::create(folder.path(), schema, columns, metric, SMALL).unwrap();
        let mut taken = 0;
        for id in [1_000_000i64, 1_000_000_000_000_000, 1_000_000_000_000_000_000] {
            match store.add(&batch(&[(id, 0)])) {
                Ok(1) => taken += 1,
                Err(Error::TooLarge { row: 0, value: 1e18 }) => {}
                other => panic!("{metric:?} {id} {other:?}"),
            }
        }
        assert_eq!(if metric == Metric::Cosine { 3 } else { 2 }, taken);
        let found = store.snapshot().search(&vector(1_000_000, 0), &Query::new(9)).unwrap();
        assert_eq!(taken, found.num_rows());
        let distances = found["_distance"].as_primitive::<arrow_array::types::Float32Type>();
        assert!(distances.values().iter().all(|distance| distance.is_finite()));
    }
}

#[test]
fn one_writes_and_others_read() {
    let folder = common::folder();
    let store = create(folder.path());
    store.add(&batch(&[(1, 0)])).unwrap();
    assert!(matches!(Store::open(folder.path(), SMALL), Err(Error::Locked { .. })));
    let reader = Store::open_read_only(folder.path(), SMALL).unwrap();
    assert!(matches!(reader.add(&batch(&[(2, 0)])), Err(Error::ReadOnly)));
    assert_eq!(1, reader.snapshot().count());
    drop(store);
    Store::open(folder.path(), SMALL).unwrap();
}

#[test]
fn what_is_no_store_is_left_alone() {
    let folder = common::folder();
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    assert!(matches!(Store::open(folder.path(), SMALL), Err(Error::NotAStore { .. })));
    let made = Store::create(folder.path(), schema(), Columns::default(), Metric::L2, SMALL);
    assert!(matches!(made, Err(Error::NotEmpty { .. })));
    assert_eq!(1, std::fs::read_dir(folder.path()).unwrap().count());
}

#[test]
fn a_flipped_byte_anywhere_is_noticed() {
    let folder = common::folder();
    let store = create(folder.path());
    for round in 0..6 {
        let new: Vec<_> = (0..30).map(|i| (round * 20 + i, round)).collect();
        store.upsert(&batch(&new)).unwrap();
    }
    store.flush().unwrap();
    store.upsert(&batch(&[(1, 9), (500, 9)])).unwrap();
    store.delete(&ids(&[2, 77])).unwrap();
    store.flush().unwrap(); // with tombstones now
    store.upsert(&batch(&[(3, 10)])).unwrap();
    let expected = contents(&store.snapshot());
    store.close().unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let good = std::fs::read(&path).unwrap();
        kinds.insert(path.extension().map(|e| e.to_string_lossy().into_owned()));
        for at in (0..good.len()).step_by(good.len() / 97 + 1) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let read = Store::open_read_only(folder.path(), SMALL).and_then(|store| {
                let now = store.snapshot();
                now.search(&vector(1, 1), &Query::new(3))?;
                now.batches().collect::<Result<Vec<_>, _>>()
            });
            assert!(matches!(read, Err(Error::Corrupt { .. })), "{path:?} {at}");
            assert!(Store::verify(folder.path()).is_err());
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(kinds.len() >= 5 && kinds.contains(&Some("dead".into())), "{kinds:?}");
    let store = Store::open(folder.path(), SMALL).unwrap();
    assert_eq!(expected, contents(&store.snapshot()));
    assert_eq!(DIM, vector(0, 0).len());
}

#[test]
fn damage_to_any_vector_that_a_filter_takes_is_noticed() {
    let folder = common::folder();
    let (first, last, count) = (30_000, 38_000, 80_000);
    let store =
        Store::create(folder.path(), schema(), Columns::default(), Metric::L2, Options::default());
    let store = store.unwrap();
    store.add(&batch(&(0..count).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    let mut files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let largest = |path: &std::path::PathBuf| std::fs::metadata(path).unwrap().len();
    let path = files.by_ref().max_by_key(largest).unwrap();
    let good = std::fs::read(&path).unwrap();
    let bytes: Vec<u8> = vector(last - 1, 0).iter().flat_map(|x| x.to_le_bytes()).collect();
    let at = good.windows(bytes.len()).position(|window| window == bytes).unwrap();
    let mut bad = good;
    bad[at] ^= 1;
    std::fs::write(&path, bad).unwrap();

    let store = Store::open_read_only(folder.path(), Options::default()).unwrap();
    let search = |filter: &str| {
        let filter = Filter::parse(filter).unwrap();
        let query = Query { filter: Some(&filter), ..Query::new(3) };
        store.snapshot().search(&vector(1, 0), &query).map(|_| ())
    };
    search(&format!("id >= {} AND id < {first}", first - 8000)).unwrap();
    let damaged = search(&format!("id >= {first} AND id < {last}"));
    assert!(matches!(damaged, Err(Error::Corrupt { .. })), "{damaged:?}");
}

#[test]
fn small_writes_do_not_become_many_parts_or_files() {
    let folder = common::folder();
    let store = create(folder.path());
    for id in 0..600 {
        store.add(&batch(&[(id, 0)])).unwrap();
    }
    store.optimize().unwrap();
    assert!(store.snapshot().parts().len() < 30, "{}", store.snapshot().parts().len());
    assert!(std::fs::read_dir(folder.path()).unwrap().count() < 30);
    store.compact().unwrap();
    assert_eq!(1, store.snapshot().parts().len());
    assert_eq!(600, contents(&store.snapshot()).len());
}

#[test]
fn readers_see_whole_writes_while_a_writer_flushes_and_compacts() {
    let folder = common::folder();
    let store = create(folder.path());
    let pair = |v: i64| batch(&[(1, v), (2, v)]);
    store.add(&pair(0)).unwrap();
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let mut last = 0;
            while last < 300 {
                let now = contents(&store.snapshot());
                assert_eq!(now[&1], now[&2]);
                assert!(now[&1] >= last);
                last = now[&1];
            }
        });
        let outside = scope.spawn(|| {
            let mut last = 0;
            while last < 300 {
                let now =
                    contents(&Store::open_read_only(folder.path(), SMALL).unwrap().snapshot());
                assert_eq!(now[&1], now[&2]);
                assert!(now[&1] >= last);
                last = now[&1];
            }
        });
        for version in 1..=300 {
            store.upsert(&pair(version)).unwrap();
            if version % 50 == 0 {
                store.compact().unwrap();
            }
        }
        inside.join().unwrap();
        outside.join().unwrap();
    });
}

#[test]
fn what_is_deleted_while_segments_are_joined_stays_deleted() {
    let folder = common::folder();
    let store = create(folder.path());
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut model = BTreeMap::new();
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                store.optimize().unwrap();
                rounds += 1;
            }
            rounds
        });
        for version in 0..400i64 {
            let some: Vec<_> = (0..20).map(|i| ((version * 37 + i * 11) % 500, version)).collect();
            store.upsert(&batch(&some)).unwrap();
            model.extend(some);
            let gone: Vec<i64> = (0..9).map(|i| (version * 53 + i * 29) % 500).collect();
            store.delete(&ids(&gone)).unwrap();
            model.retain(|id, _| !gone.contains(id));
            assert_eq!(model.len(), store.snapshot().count());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(joining.join().unwrap() > 0);
    });
    assert_eq!(model, contents(&store.snapshot()));
    store.close().unwrap();
    assert_eq!(model.len(), Store::verify(folder.path()).unwrap().rows);
    assert_eq!(model, contents(&Store::open(folder.path(), SMALL).unwrap().snapshot()));
}

/// The real disk, which does something once when a file of a kind is made.
struct Hooked {
    kind: &'static str,
    once: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Files for Hooked {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        if path.extension().is_some_and(|kind| kind == self.kind) {
            let once = self.once.lock().unwrap().take();
            once.into_iter().for_each(|work| work());
        }
        Disk.create(path)
    }

    fn append(&self, path: &Path, length: u64) -> io::Result<Box<dyn Sink>> {
        Disk.append(path, length)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk.read(path)
    }

    fn map(&self, path: &Path) -> io::Result<bytes::Bytes> {
        Disk.map(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Disk.list(path)
    }
}

#[test]
fn rows_deleted_and_replaced_after_they_were_copied_are_gone_in_the_copy() {
    let folder = common::folder();
    let files = Arc::new(Hooked { kind: "arrow", once: Default::default() });
    let options = Options { compaction: Compaction::Explicit, flush_bytes: 1 << 20, ..SMALL };
    let (schema, columns) = (schema(), Columns::default());
    let store =
        Store::create_with(files.clone(), folder.path(), schema, columns, Metric::L2, options);
    let store = Arc::new(store.unwrap());
    for part in 0..3 {
        store.add(&batch(&(0..40).map(|i| (part * 40 + i, 1)).collect::<Vec<_>>())).unwrap();
        store.flush().unwrap();
    }
    // Rows that are gone before, so that later ones stand elsewhere in the copy.
    store.delete(&ids(&[0, 5, 41, 80, 119])).unwrap();
    let other = Arc::clone(&store);
    *files.once.lock().unwrap() = Some(Box::new(move || {
        assert_eq!(4, other.delete(&ids(&[1, 39, 42, 118])).unwrap());
        other.upsert(&batch(&[(43, 2), (81, 2)])).unwrap();
    }));
    store.optimize().unwrap();
    assert!(files.once.lock().unwrap().is_none());
    let gone = [0, 5, 41, 80, 119, 1, 39, 42, 118];
    let right: BTreeMap<i64, i64> = (0..120)
        .filter(|id| !gone.contains(id))
        .map(|id| (id, if id == 43 || id == 81 { 2 } else { 1 }))
        .collect();
    assert_eq!(right, contents(&store.snapshot()));
    drop(store);
    let again = Store::open(folder.path(), options).unwrap();
    assert_eq!(right, contents(&again.snapshot()));
    again.compact().unwrap();
    assert_eq!(right, contents(&again.snapshot()));
}

#[test]
fn equal_rows_come_in_the_order_of_writing_wherever_they_lie() {
    let folder = common::folder();
    let options = Options { compaction: Compaction::Explicit, flush_bytes: 1 << 20, ..SMALL };
    let (schema, columns) = (schema(), Columns::default());
    let store = Store::create(folder.path(), schema, columns, Metric::Cosine, options).unwrap();
    let found = |store: &Store| {
        let near = store.snapshot().search(&vector(1, 0), &Query::new(3)).unwrap();
        near["id"].as_primitive::<arrow_array::types::Int64Type>().values().to_vec()
    };
    // Three rows of one direction, each with the vector of row 1.
    for id in [30, 10, 20] {
        let mut one = batch(&[(1, 0)]);
        let mut all = one.columns().to_vec();
        all[0] = Arc::new(arrow_array::Int64Array::from_iter_values([id]));
        one = RecordBatch::try_new(one.schema(), all).unwrap();
        store.add(&one).unwrap();
        if id != 20 {
            store.flush().unwrap();
        }
    }
    assert_eq!(vec![30, 10, 20], found(&store));
    store.flush().unwrap();
    assert_eq!(vec![30, 10, 20], found(&store));
    store.compact().unwrap();
    assert_eq!(vec![30, 10, 20], found(&store));
}

#[test]
fn rows_are_those_of_their_ids_while_others_compact() {
    let folder = common::folder();
    let store = create(folder.path());
    store.add(&batch(&(0..300).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for version in 1..200i64 {
                store.delete(&ids(&[version])).unwrap();
                store.upsert(&batch(&[(version, version)])).unwrap();
                if version % 2 == 0 { store.compact() } else { store.flush() }.unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let asked = [299, 0, 250, 201];
            let found = rows(&store.get(&ids(&asked)).unwrap());
            assert_eq!(asked.to_vec(), found.iter().map(|row| row.0).collect::<Vec<_>>());
        }
    });
}
