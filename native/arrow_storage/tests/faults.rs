//! Every operation of the file system fails once, in every way; nothing acknowledged is lost.
//! `AIOS_CRASH_ROUNDS` sets how often the power goes, about 450 times by default.

mod common;
#[path = "common/faulty.rs"]
mod faulty;

use arrow_storage::{Columns, Compaction, Durability, Metric, Options, Store};
use common::{batch, contents, ids, schema};
use faulty::{Fault, Faulty};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const OPTIONS: Options =
    Options { durability: Durability::Commit, flush_bytes: 4000, compaction: Compaction::Explicit };

type Model = BTreeMap<i64, i64>;

/// Write until something fails; what was acknowledged, and what may or may not have been done.
///
/// With `stop`, flush with nearly each write, and end also where the disk failed and the write was
/// acknowledged all the same.
fn work(files: &Faulty, folder: &Path, stop: bool) -> (Model, Model, Option<Store>) {
    let mut model = Model::new();
    let options = Options { flush_bytes: if stop { 600 } else { 4000 }, ..OPTIONS };
    let Ok(store) = Store::open_with(Arc::new(files.clone()), folder, options) else {
        return (model.clone(), model, None);
    };
    for n in 0..14 {
        let rows: Vec<(i64, i64)> = (0..3).map(|i| ((n * 5 + i) % 17, n)).collect();
        let mut next = model.clone();
        let done = match n {
            4 | 9 => {
                let gone: Vec<i64> = rows.iter().map(|r| r.0).collect();
                next.retain(|id, _| !gone.contains(id));
                store.delete(&ids(&gone)).map(|_| ())
            }
            3 | 7 => store.flush(),
            8 | 11 => store.optimize(),
            12 => store.compact(),
            _ => {
                next.extend(rows.iter().copied());
                store.upsert(&batch(&rows)).map(|_| ())
            }
        };
        if done.is_err() {
            return (model, next, Some(store));
        }
        model = next;
        if stop && files.failed() {
            break;
        }
    }
    (model.clone(), model, Some(store))
}

fn prepared() -> tempfile::TempDir {
    let folder = common::folder();
    let store = Store::create_with(
        Arc::new(Faulty::default()),
        folder.path(),
        schema(),
        Columns::default(),
        Metric::L2,
        OPTIONS,
    )
    .unwrap();
    store.close().unwrap();
    folder
}

fn check(folder: &Path, acknowledged: &Model, possible: &Model, what: &str) {
    // A file system that fails nothing, and spares the real disk its syncs.
    let sound = Arc::new(Faulty::default());
    let store = Store::open_with(sound, folder, OPTIONS).unwrap_or_else(|e| panic!("{what}: {e}"));
    let found = contents(&store.snapshot());
    assert!(found == *acknowledged || found == *possible, "{what}: {found:?} {acknowledged:?}");
    store.upsert(&batch(&[(99, 1)])).unwrap();
    store.compact().unwrap();
    assert_eq!(found.len() + 1, store.snapshot().count());
    drop(store);
    Store::verify(folder).unwrap();
}

#[test]
fn a_failed_write_or_sync_loses_nothing_acknowledged() {
    // Also if the power goes later: what was acknowledged meanwhile is on disk.
    for (fault, power) in
        [Fault::Full, Fault::Sync].into_iter().flat_map(|f| [(f, false), (f, true)])
    {
        for after in 0..120 {
            let folder = prepared();
            let files = Faulty::failing(after, fault);
            let (acknowledged, possible, store) = work(&files, folder.path(), power);
            if let Some(store) = &store {
                // Whatever failed, reading goes on.
                let now = contents(&store.snapshot());
                assert!(now == acknowledged || now == possible);
            }
            drop(store);
            if power {
                files.lose_power(after as u64);
            }
            let what = format!("{fault:?} after {after}, power lost: {power}");
            check(folder.path(), &acknowledged, &possible, &what);
        }
    }
}

#[test]
fn power_lost_at_any_operation_loses_nothing_acknowledged() {
    let rounds = std::env::var("AIOS_CRASH_ROUNDS").map_or(450, |rounds| rounds.parse().unwrap());
    for after in 0..150 {
        for seed in 0..u64::div_ceil(rounds, 150) {
            let folder = prepared();
            let files = Faulty::failing(after as usize, Fault::Power);
            let (acknowledged, possible, store) = work(&files, folder.path(), false);
            drop(store);
            files.lose_power(seed * 31 + after);
            check(folder.path(), &acknowledged, &possible, &format!("power after {after}, {seed}"));
        }
    }
}
