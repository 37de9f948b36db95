//! In which order files are written, synced, named and removed; which segments are joined; and which
//! files of a folder are the store's.

mod common;

use arrow_storage::files::{Disk, Files, Sink};
use arrow_storage::{Columns, Compaction, Durability, Error, Metric, Options, Store};
use common::{batch, contents, ids, rows, schema};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const OPTIONS: Options = Options {
    durability: Durability::None,
    flush_bytes: 1 << 30,
    compaction: Compaction::Explicit,
};

fn some(ids: std::ops::Range<i64>) -> arrow_array::RecordBatch {
    batch(&ids.map(|id| (id, 0)).collect::<Vec<_>>())
}

/// What is not on disk for certain.
#[derive(Default)]
struct Pending {
    /// Files with content that was not synced, and names that the folder was not synced for.
    content: BTreeSet<PathBuf>,
    names: BTreeSet<PathBuf>,
    /// Whether a rename was not synced.
    renamed: bool,
    manifests: usize,
}

/// The real disk, which refuses what a loss of power could turn into a loss of rows.
#[derive(Clone, Default)]
struct Careful(Arc<Mutex<Pending>>);

struct File(PathBuf, Box<dyn Sink>, Careful);

impl Sink for File {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.2.0.lock().unwrap().content.insert(self.0.clone());
        self.1.write(bytes, at)
    }

    fn start(&self, at: u64, length: u64) {
        self.1.start(at, length);
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.2.0.lock().unwrap().content.insert(self.0.clone());
        self.1.cut(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.2.0.lock().unwrap().content.remove(&self.0);
        Ok(())
    }
}

impl Files for Careful {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        let mut pending = self.0.lock().unwrap();
        pending.content.insert(path.to_owned());
        pending.names.insert(path.to_owned());
        Ok(Box::new(File(path.to_owned(), Disk.create(path)?, self.clone())))
    }

    fn append(&self, path: &Path, length: u64) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(File(path.to_owned(), Disk.append(path, length)?, self.clone())))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk.read(path)
    }

    fn map(&self, path: &Path) -> io::Result<bytes::Bytes> {
        Disk.map(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut pending = self.0.lock().unwrap();
        assert!(to.ends_with("MANIFEST") && from.parent() == to.parent());
        // A log that is about to go may hold what was not synced.
        let text = std::fs::read_to_string(from)?;
        let goes = |path: &Path| {
            let number = path.file_stem().unwrap().to_string_lossy().into_owned();
            path.extension().is_some_and(|kind| kind == "log")
                && !text.contains(&format!("\"log\": {number},"))
        };
        let content: Vec<_> = pending.content.iter().filter(|path| !goes(path)).collect();
        assert!(content.is_empty(), "not synced before the manifest: {content:?}");
        let names = std::mem::take(&mut pending.names);
        assert_eq!(BTreeSet::new(), names, "names not synced before the manifest");
        pending.renamed = true;
        pending.manifests += 1;
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut pending = self.0.lock().unwrap();
        assert!(!pending.renamed, "{path:?} removed before the manifest is on disk");
        pending.content.remove(path);
        pending.names.remove(path);
        Disk.remove(path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let mut pending = self.0.lock().unwrap();
        pending.names.clear();
        pending.renamed = false;
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Disk.list(path)
    }
}

impl Careful {
    fn logs(&self) -> usize {
        let pending = self.0.lock().unwrap();
        assert!(!pending.renamed && pending.names.is_empty(), "{:?}", pending.names);
        pending.content.len()
    }
}

fn careful(folder: &Path, options: Options) -> (Careful, Store) {
    let files = Careful::default();
    let (schema, columns) = (schema(), Columns::default());
    let store =
        Store::create_with(Arc::new(files.clone()), folder, schema, columns, Metric::L2, options);
    (files, store.unwrap())
}

#[test]
fn everything_is_on_disk_before_the_manifest_names_it() {
    for durability in [Durability::Commit, Durability::Batch, Durability::None] {
        let folder = common::folder();
        let (files, store) = careful(folder.path(), Options { durability, ..OPTIONS });
        let commits = durability == Durability::Commit;
        let written = |files: &Careful| assert!(!commits || files.logs() == 0);
        assert_eq!(0, files.logs());
        for round in 0..4 {
            store.add(&some(round * 50..round * 50 + 40)).unwrap();
            written(&files);
            store.flush().unwrap();
            assert_eq!(0, files.logs());
            store.delete(&ids(&[round * 50, round * 50 + 7])).unwrap();
            written(&files);
            store.upsert(&batch(&[(round * 50 + 3, 1)])).unwrap();
            written(&files);
            let filter = format!("id = {}", round * 50 + 9).parse().unwrap();
            assert_eq!(1, store.delete_where(&filter).unwrap());
            written(&files);
            if !commits {
                assert!(durability != Durability::None || files.logs() == 1);
                store.sync().unwrap();
                assert_eq!(0, files.logs());
            }
        }
        let right = contents(&store.snapshot());
        store.flush().unwrap();
        let names = || Disk.list(folder.path()).unwrap();
        assert!(names().iter().any(|name| name.ends_with(".dead")), "{:?}", names());
        store.optimize().unwrap();
        store.delete(&ids(&[1])).unwrap();
        store.upsert(&batch(&[(1, 0)])).unwrap();
        store.compact().unwrap();
        assert!(files.0.lock().unwrap().manifests > 5);
        assert_eq!(right, contents(&store.snapshot()));
        store.close().unwrap();
        assert_eq!(0, files.logs());
        // No file but those that the manifest names: its own, the lock, one segment's two, the log.
        assert_eq!(5, names().len(), "{:?}", names());
    }
}

#[test]
fn a_write_after_a_pause_is_synced() {
    let folder = common::folder();
    let options = Options { durability: Durability::Batch, ..OPTIONS };
    let (files, store) = careful(folder.path(), options);
    std::thread::sleep(std::time::Duration::from_millis(110));
    store.add(&some(0..3)).unwrap();
    assert_eq!(0, files.logs());
}

/// The segments' rows, all and live, in the order of writing.
fn sizes(store: &Store) -> Vec<(usize, usize)> {
    let now = store.snapshot();
    assert_eq!(now.parts().len(), store.stats().unwrap().segments);
    now.parts().iter().map(|part| (part.live() + part.dead().len() as usize, part.live())).collect()
}

/// A store of segments of so many rows, of each of which some are deleted.
fn segments(folder: &Path, of: &[(i64, i64)]) -> Store {
    let (schema, columns) = (schema(), Columns::default());
    let store = Store::create(folder, schema, columns, Metric::L2, OPTIONS).unwrap();
    for (&(rows, _), place) in of.iter().zip(0..) {
        store.add(&some(place * 1000..place * 1000 + rows)).unwrap();
        store.flush().unwrap();
    }
    for (&(_, gone), place) in of.iter().zip(0..) {
        store.delete(&ids(&(place * 1000..place * 1000 + gone).collect::<Vec<_>>())).unwrap();
    }
    store
}

#[test]
fn segments_are_joined_that_are_small_or_more_than_half_dead() {
    let whole = |sizes: &[usize]| sizes.iter().map(|&size| (size, size)).collect::<Vec<_>>();
    for (of, right) in [
        (&[(20, 0), (10, 0)][..], whole(&[20, 10])),
        (&[(19, 0), (10, 0)], whole(&[29])),
        (&[(40, 0), (18, 0), (10, 0)], whole(&[68])),
        (&[(56, 0), (18, 0), (10, 0)], whole(&[56, 28])),
        (&[(55, 0), (18, 0), (10, 0)], whole(&[83])),
        (&[(400, 0), (100, 51), (20, 0)], whole(&[400, 49, 20])),
        (&[(400, 0), (100, 50), (20, 0)], vec![(400, 400), (100, 50), (20, 20)]),
        (&[(100, 80), (300, 0), (50, 0), (25, 0)], whole(&[20, 300, 50, 25])),
        (&[(60, 0), (30, 12), (10, 0)], whole(&[60, 28])),
        (&[(30, 30), (30, 0)], whole(&[30])),
        (&[(30, 30)], vec![]),
    ] {
        let folder = common::folder();
        let store = segments(folder.path(), of);
        let before: Vec<_> = contents(&store.snapshot()).into_iter().collect();
        store.flush().unwrap();
        store.optimize().unwrap();
        assert_eq!(right, sizes(&store), "{of:?}");
        // In the order of writing, also of the manifest.
        let in_order = |store: &Store| -> Vec<(i64, i64)> {
            store.snapshot().batches().flat_map(|batch| rows(&batch.unwrap())).collect()
        };
        assert_eq!(before, in_order(&store), "{of:?}");
        let report = store.stats().unwrap();
        assert_eq!(before.len(), report.rows);
        let dead = right.iter().map(|(all, live)| all - live).sum::<usize>();
        assert_eq!(dead, report.dead, "{of:?}");
        let kept = |name: &String| name.ends_with(".arrow") || name.ends_with(".log");
        let names = Disk.list(folder.path()).unwrap().into_iter().filter(kept);
        let bytes = names.map(|name| folder.path().join(name).metadata().unwrap().len());
        assert_eq!(bytes.sum::<u64>(), report.bytes);
        assert_eq!(report, Store::verify(folder.path()).unwrap());
        drop(store);
        let again = Store::open(folder.path(), OPTIONS).unwrap();
        assert_eq!((right, before), (sizes(&again), in_order(&again)));
    }
}

#[test]
fn a_reader_sees_what_was_written_when_it_looks_again() {
    let folder = common::folder();
    let store = segments(folder.path(), &[(40, 0), (15, 3)]);
    let reader = Store::open_read_only(folder.path(), OPTIONS).unwrap();
    let steps: Vec<Box<dyn Fn() -> usize>> = vec![
        Box::new(|| store.delete(&ids(&[1, 2, 1005])).unwrap()),
        Box::new(|| store.upsert(&batch(&[(3, 4), (1007, 4), (9000, 4)])).unwrap()),
        Box::new(|| store.flush().map_or(0, |()| 1)),
        Box::new(|| store.delete(&ids(&[9000, 5])).unwrap()),
        Box::new(|| store.optimize().map_or(0, |()| 1)),
        Box::new(|| store.compact().map_or(0, |()| 1)),
    ];
    let mut before = contents(&reader.snapshot());
    for step in steps {
        assert!(step() > 0);
        assert_eq!(before, contents(&reader.snapshot()));
        let held = reader.snapshot();
        reader.refresh().unwrap();
        assert_eq!(before, contents(&held));
        before = contents(&store.snapshot());
        assert_eq!(before, contents(&reader.snapshot()));
    }
    assert!(reader.is_read_only() && !store.is_read_only());
    for refused in [reader.optimize(), reader.flush(), reader.compact(), reader.sync()] {
        assert!(matches!(refused, Err(Error::ReadOnly)));
    }
}

#[test]
fn what_a_crash_left_goes_and_what_is_not_the_store_s_stays() {
    let folder = common::folder();
    segments(folder.path(), &[(40, 0), (10, 3)]).close().unwrap();
    let before: BTreeSet<String> = Disk.list(folder.path()).unwrap().into_iter().collect();
    let ours = before.iter().find(|name| name.ends_with(".arrow")).unwrap();
    let own = ours.replace(".arrow", "-0.graph");
    let left = ["99.arrow", "99.sums", "99.dead", "99.log", "99-0.graph", "1-0.graph.new"];
    let foreign =
        ["notes.arrow", "99.txt", "x-0.graph", "99-x.graph", "99", "a.new", "99.new", &own];
    for name in left.iter().chain(&foreign).chain(&["MANIFEST.new"]) {
        std::fs::write(folder.path().join(name), "x").unwrap();
    }
    // A reader may stand beside a writer that is about to name them.
    Store::open_read_only(folder.path(), OPTIONS).unwrap();
    assert!(folder.path().join("99.arrow").exists());
    drop(Store::open(folder.path(), OPTIONS).unwrap());
    let after: BTreeSet<String> = Disk.list(folder.path()).unwrap().into_iter().collect();
    assert_eq!(
        foreign.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>(),
        &after - &before
    );
    assert_eq!(BTreeSet::new(), &before - &after);
}

#[test]
fn a_folder_with_what_an_interrupted_creation_left_can_become_a_store() {
    let folder = common::folder();
    for name in ["LOCK", "MANIFEST.new", "0.log"] {
        std::fs::write(folder.path().join(name), "x").unwrap();
    }
    let create = || Store::create(folder.path(), schema(), Columns::default(), Metric::L2, OPTIONS);
    create().unwrap().add(&some(0..3)).unwrap();
    assert!(matches!(create(), Err(Error::NotEmpty { .. })));
    let store = Store::open(folder.path(), OPTIONS).unwrap();
    assert_eq!((1, 0), (store.recovery().replayed, store.recovery().dropped));
    assert_eq!(BTreeMap::from([(0, 0), (1, 0), (2, 0)]), contents(&store.snapshot()));
}

#[test]
fn a_torn_write_is_dropped_and_counted() {
    let folder = common::folder();
    let store = segments(folder.path(), &[]);
    for id in 0..3 {
        store.add(&some(id * 10..id * 10 + 4)).unwrap();
    }
    let length = store.stats().unwrap().bytes;
    drop(store);
    let path = folder.path().join("0.log");
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    assert!(end as u64 <= length);
    std::fs::write(&path, &bytes[..end - 20]).unwrap();
    let store = Store::open(folder.path(), OPTIONS).unwrap();
    assert_eq!(2, store.recovery().replayed);
    assert!(store.recovery().dropped > 20);
    assert_eq!(8, store.snapshot().count());
    store.add(&some(20..24)).unwrap();
    store.close().unwrap();
    let store = Store::open(folder.path(), OPTIONS).unwrap();
    assert_eq!((3, 0), (store.recovery().replayed, store.recovery().dropped));
    assert_eq!(12, store.snapshot().count());
    drop(store);
    // A bit that flips in what was acknowledged before the last write is damage.
    std::fs::write(&path, &bytes).unwrap();
    for at in [9, 30, end / 3, end / 2] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        std::fs::write(&path, damaged).unwrap();
        let opened = Store::open(folder.path(), OPTIONS);
        assert!(matches!(opened, Err(Error::Corrupt { .. })), "{at}");
    }
}
