//! Stores of several blocks, batches and segments: damage is noticed where it is read, and what is
//! cut into pieces comes back whole.

mod common;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_storage::{
    Columns, Compaction, Durability, Error, Filter, Metric, Options, Query, Store,
};
use common::{batch, ids, rows, schema, vector};
use std::path::{Path, PathBuf};

const OPTIONS: Options = Options {
    durability: Durability::None,
    flush_bytes: 1 << 30,
    compaction: Compaction::Explicit,
};

fn create(folder: &Path) -> Store {
    Store::create(folder, schema(), Columns::default(), Metric::L2, OPTIONS).unwrap()
}

fn file(folder: &Path, kind: &str) -> PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|e| e == kind)).unwrap()
}

/// Flip a bit of the vector of a row of a segment.
fn spoil(folder: &Path, id: i64) {
    let segment = file(folder, "arrow");
    let mut bytes = std::fs::read(&segment).unwrap();
    let spoilt = vector(id, 0).map(f32::to_le_bytes);
    let at = bytes.windows(4 * 4).position(|some| some == spoilt.as_flattened()).unwrap();
    bytes[at + 15] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
}

fn found(found: Result<RecordBatch, Error>) -> Result<Vec<i64>, PathBuf> {
    match found {
        Ok(batch) => Ok(batch["id"].as_primitive::<Int64Type>().values().to_vec()),
        Err(Error::Corrupt { path, at, .. }) => {
            assert_eq!(0, at % (64 << 10), "the start of a block");
            Err(path)
        }
        Err(other) => panic!("{other}"),
    }
}

/// A row whose block is damaged is never an answer, however often it is asked for; rows of other
/// blocks are.
#[test]
fn damaged_vectors_are_an_error_wherever_they_are_read_and_nowhere_else() {
    // 16 bytes a vector: a block of 64 KiB has 4096 of them. These share none with other columns.
    for spoilt in [2400, 9000, 18_000] {
        let folder = common::folder();
        let store = create(folder.path());
        store.add(&batch(&(0..20_000).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
        store.close().unwrap();
        let store = Store::open(folder.path(), OPTIONS).unwrap();
        store.compact().unwrap();
        store.close().unwrap();
        spoil(folder.path(), spoilt);
        let segment = Err(file(folder.path(), "arrow"));
        assert!(Store::verify(folder.path()).is_err());
        let far = (spoilt + 8500) % 17_000;
        for round in 0..2 {
            let store = Store::open_read_only(folder.path(), OPTIONS).unwrap();
            let now = store.snapshot();
            let near = |low: i64, high: i64, k: usize| {
                let filter = Filter::parse(&format!("id BETWEEN {low} AND {high}")).unwrap();
                found(now.search(&vector(low, 0), &Query::new(k).filter(&filter)))
            };
            for _ in 0..2 {
                assert_eq!(Ok(vec![far]), near(far, far, 3));
                assert_eq!(2000, near(far, far + 1999, 9999).unwrap().len());
                assert_eq!(segment, near(spoilt, spoilt, 3));
                // A run that ends in the damaged row, or begins with it.
                assert_eq!(segment, near(spoilt - 2000, spoilt, 3));
                assert_eq!(segment, near(spoilt, spoilt + 2000, 3));
                assert_eq!(Ok(vec![far, far + 1]), found(now.get(&ids(&[far, far + 1]))));
                assert_eq!(segment, found(now.get(&ids(&[far, spoilt]))));
                if round == 1 {
                    assert_eq!(segment, found(now.search(&vector(far, 0), &Query::new(3))));
                    let query = Query { width: Some(9), ..Query::new(3) };
                    assert_eq!(segment, found(now.search(&vector(far, 0), &query)));
                    assert!(now.batches().any(|batch| batch.is_err()));
                }
            }
        }
    }
}

#[test]
fn vectors_read_by_a_graph_are_compared_too() {
    let folder = common::folder();
    let store = create(folder.path());
    store.add(&batch(&(0..9000).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    store.flush().unwrap();
    store.create_index().unwrap();
    store.close().unwrap();
    spoil(folder.path(), 8990);
    let now = Store::open_read_only(folder.path(), OPTIONS).unwrap().snapshot();
    let query = Query { width: Some(20), ..Query::new(3).columns(&["id"]) };
    assert_eq!(Ok(vec![10]), found(now.search(&vector(10, 0), &Query { k: 1, ..query })));
    for _ in 0..2 {
        let segment = Err(file(folder.path(), "arrow"));
        assert_eq!(segment, found(now.search(&vector(8990, 0), &query)));
    }
}

#[test]
fn a_graph_of_other_rows_is_passed_over() {
    let folder = common::folder();
    let paths = ["own", "longer"].map(|name| folder.path().join(name));
    for (path, most) in paths.iter().zip([4200, 4300]) {
        let store = create(path);
        store.add(&batch(&(0..most).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
        store.flush().unwrap();
        store.create_index().unwrap();
        store.close().unwrap();
    }
    std::fs::copy(file(&paths[1], "graph"), file(&paths[0], "graph")).unwrap();
    let store = Store::open(&paths[0], OPTIONS).unwrap();
    let query = Query { width: Some(4200), ..Query::new(4200).columns(&["id"]) };
    let mut all = found(store.snapshot().search(&vector(7, 0), &query)).unwrap();
    all.sort_unstable();
    assert_eq!((0..4200).collect::<Vec<_>>(), all);
}

/// More rows than a batch of a segment takes, in two parts.
#[test]
fn rows_beyond_one_batch_are_found_deleted_and_joined() {
    const HALF: i64 = 70_000;
    let folder = common::folder();
    let store = create(folder.path());
    for first in [0, HALF] {
        store.add(&batch(&(first..first + HALF).map(|id| (id, 0)).collect::<Vec<_>>())).unwrap();
    }
    store.close().unwrap();
    // Large records, written in pieces, come back from the log.
    let store = Store::open(folder.path(), OPTIONS).unwrap();
    assert_eq!((2, 0), (store.recovery().replayed, store.recovery().dropped));
    store.flush().unwrap();
    let reader = Store::open_read_only(folder.path(), OPTIONS).unwrap();
    let all: Vec<i64> = (0..2 * HALF).collect();
    let known = |store: &Store| -> Vec<i64> {
        let (_, batches) = store.snapshot().select(None, Some(&["id"])).unwrap();
        batches.flat_map(|batch| found(batch).unwrap()).collect()
    };
    assert!(all == known(&store) && all == known(&reader));
    let sizes: Vec<usize> = store.snapshot().parts().iter().map(|part| part.live()).collect();
    assert_eq!(vec![70_000, 70_000], sizes, "batches of at most 131072 rows");

    let gone = [3, HALF - 1, HALF, HALF + 3, 2 * HALF - 1];
    assert_eq!(5, store.delete(&ids(&gone)).unwrap());
    store.upsert(&batch(&[(HALF + 9, 5)])).unwrap();
    store.flush().unwrap();
    let left: Vec<i64> = all.iter().copied().filter(|id| !gone.contains(id)).collect();
    let check = |store: &Store| {
        let mut found = known(store);
        found.sort_unstable();
        assert!(left == found);
        let some = store.snapshot().get(&ids(&[2, HALF + 9, HALF + 4, HALF - 1])).unwrap();
        assert_eq!(vec![(2, 0), (HALF + 9, 5), (HALF + 4, 0)], rows(&some));
    };
    check(&store);
    reader.refresh().unwrap();
    check(&reader);
    check(&Store::open_read_only(folder.path(), OPTIONS).unwrap());

    let path = folder.path().join("rows.parquet");
    assert_eq!(left.len(), store.snapshot().export_parquet(&path, None, Some(&["id"])).unwrap());
    let read = parquet::file::serialized_reader::SerializedFileReader::new(
        std::fs::File::open(&path).unwrap(),
    );
    let groups: Vec<i64> = parquet::file::reader::FileReader::metadata(&read.unwrap())
        .row_groups()
        .iter()
        .map(|group| group.num_rows())
        .collect();
    assert_eq!(left.len() as i64, groups.iter().sum::<i64>());
    assert!(groups.iter().all(|&rows| rows <= 65_536), "{groups:?}");

    store.compact().unwrap();
    check(&store);
    assert_eq!(1, store.stats().unwrap().segments);
    let report = Store::verify(folder.path()).unwrap();
    assert_eq!((left.len(), 0), (report.rows, report.dead));
}
