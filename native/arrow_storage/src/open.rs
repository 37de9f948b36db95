//! Making, opening and recovering a store.

use crate::compaction::{Compaction, Worker};
use crate::dead::{self, Tombstones};
use crate::files::{Disk, Files};
use crate::index::segment_of_graph;
use crate::lock::Lock;
use crate::log::{Log, replay};
use crate::manifest::{Columns, Manifest};
use crate::record::Record;
use crate::state::{Part, State};
use crate::store::{Durability, Store, Writer};
use crate::{Error, Id, Metric, Result, Snapshot, schema, segment};
use arrow_schema::SchemaRef;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is promised when a write returns.
    pub durability: Durability,
    /// The log becomes a segment when it has grown to this.
    pub flush_bytes: u64,
    /// When segments are joined.
    pub compaction: Compaction,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Commit,
            flush_bytes: 64 << 20,
            compaction: Compaction::Background,
        }
    }
}

/// What opening a store found in its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Writes that were not yet in a segment.
    pub replayed: usize,
    /// Bytes of a write that was interrupted, and never acknowledged.
    pub dropped: u64,
}

impl Store {
    /// Make a store in a folder that is empty or not there yet.
    ///
    /// # Errors
    /// If the folder holds anything, the schema has no id and vector, or the disk fails.
    pub fn create(
        folder: &Path,
        schema: SchemaRef,
        columns: Columns,
        metric: Metric,
        options: Options,
    ) -> Result<Self> {
        Self::create_with(Arc::new(Disk), folder, schema, columns, metric, options)
    }

    /// The same on a given file system.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create_with(
        files: Arc<dyn Files>,
        folder: &Path,
        schema: SchemaRef,
        columns: Columns,
        metric: Metric,
        options: Options,
    ) -> Result<Self> {
        schema::check(&schema, &columns)?;
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let ours = |name: &String| name == "LOCK" || name == "MANIFEST.new" || name == "0.log";
        if !files.list(folder).map_err(Error::io(folder))?.iter().all(ours) {
            return Err(Error::NotEmpty { path: folder.to_owned() });
        }
        let lock = Lock::take(folder)?;
        let manifest = Manifest::new(schema, columns, metric);
        let log = Log::create(&*files, manifest.log_path(folder))?;
        manifest.write(&*files, folder)?;
        let opened =
            Opened { manifest, state: State::default(), recovery: Recovery::default(), end: 0 };
        Ok(opened.into_store(files, folder, options, Some((log, lock))))
    }

    /// Open a store for writing.
    ///
    /// # Errors
    /// If there is none, another process writes to it, it is damaged, or the disk fails.
    pub fn open(folder: &Path, options: Options) -> Result<Self> {
        Self::open_with(Arc::new(Disk), folder, options)
    }

    /// The same on a given file system.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(files: Arc<dyn Files>, folder: &Path, options: Options) -> Result<Self> {
        // Before the lock, which would leave a file in a folder that is not a store.
        Manifest::read(&*files, folder)?;
        let lock = Lock::take(folder)?;
        let opened = Opened::read(&*files, folder, &[])?;
        let log = Log::resume(&*files, opened.manifest.log_path(folder), opened.end)?;
        remove_strays(&*files, folder, &opened.manifest);
        Ok(opened.into_store(files, folder, options, Some((log, lock))))
    }

    /// Open a store for reading, whether or not another process writes to it.
    ///
    /// # Errors
    /// As [`Store::open`], but for the lock.
    pub fn open_read_only(folder: &Path, options: Options) -> Result<Self> {
        let files: Arc<dyn Files> = Arc::new(Disk);
        let opened = Opened::read_while_written(&*files, folder, &[])?;
        Ok(opened.into_store(files, folder, options, None))
    }
}

/// Read while another process may write.
///
/// Files that were replaced since the manifest was read are looked for again. A record that was
/// written while the log was read may be missing where the one after it is there; when the log is
/// read again it is whole. So what is damaged is damaged at the same place twice.
pub(crate) fn beside_a_writer<T>(mut read: impl FnMut() -> Result<T>) -> Result<T> {
    let mut before: Option<(PathBuf, u64)> = None;
    for _ in 0..100 {
        match read() {
            Err(error) if error.is_missing_file() => {}
            Err(Error::Corrupt { path, at, .. })
                if before.as_ref().is_none_or(|one| (&one.0, one.1) != (&path, at)) =>
            {
                before = Some((path, at));
            }
            done => return done,
        }
    }
    read()
}

/// What the files of a store say.
pub(crate) struct Opened {
    pub manifest: Manifest,
    pub state: State,
    pub recovery: Recovery,
    /// Where the log goes on.
    end: u64,
}

impl Opened {
    /// Read beside a writer. Segments that are `known` are not mapped again.
    pub fn read_while_written(files: &dyn Files, folder: &Path, known: &[Part]) -> Result<Self> {
        beside_a_writer(|| Self::read(files, folder, known))
    }

    /// Read everything; segments that are `known` are not mapped again.
    pub fn read(files: &dyn Files, folder: &Path, known: &[Part]) -> Result<Self> {
        let manifest = Manifest::read(files, folder)?;
        let mut tombstones = match manifest.dead {
            Some(dead) => dead::read(files, folder, dead)?,
            None => Tombstones::new(),
        };
        let mut state = State::default();
        for s in &manifest.segments {
            let ours: Vec<&Part> = known
                .iter()
                .filter(|part| part.home.is_some_and(|(number, _)| number == s.number))
                .collect();
            let parts = if ours.is_empty() {
                segment::open(files, folder, s, &manifest.schema)?
            } else {
                ours.iter().map(|part| part.rows.clone()).collect()
            };
            for (i, rows) in (0..).zip(parts) {
                let home = (s.number, i);
                let dead = tombstones.remove(&home).unwrap_or_default();
                if dead.max().is_some_and(|row| row as usize >= rows.len()) {
                    let path = folder.join(format!("{}.arrow", s.number));
                    return Err(Error::corrupt(
                        &path,
                        0,
                        "it has fewer rows than its tombstones say",
                    ));
                }
                state.push(rows, Some(home), dead);
                if let (Some(part), Some(known)) = (state.parts.last_mut(), ours.get(i as usize)) {
                    part.derived = known.derived.clone();
                }
            }
        }
        let path = manifest.log_path(folder);
        let bytes = files.read(&path).map_err(Error::io(&path))?;
        let log = replay(&path, &bytes)?;
        let recovery = Recovery { replayed: log.records.len(), dropped: log.dropped };
        let column = schema::position(&manifest.schema, &manifest.columns.id)?;
        for record in log.records {
            match record {
                Record::Put(batch) => {
                    if batch.schema().fields() != manifest.schema.fields() {
                        return Err(Error::corrupt(&path, 0, "a record has other columns"));
                    }
                    schema::check_batch(&batch, &manifest.schema, &manifest.columns)?;
                    state.put(column, batch)?;
                }
                Record::Delete(ids) => {
                    let ids = ids.columns().first().map(Id::column).unwrap_or_default();
                    state.delete(column, ids)?;
                }
                Record::Close => {}
            }
        }
        Ok(Self { manifest, state, recovery, end: log.end })
    }

    pub fn snapshot(&self, folder: &Path) -> Snapshot {
        Snapshot {
            schema: self.manifest.schema.clone(),
            columns: Arc::new(self.manifest.columns.clone()),
            metric: self.manifest.metric,
            folder: folder.into(),
            parts: self.state.parts.clone().into(),
        }
    }

    fn into_store(
        self,
        files: Arc<dyn Files>,
        folder: &Path,
        options: Options,
        writing: Option<(Log, Lock)>,
    ) -> Store {
        let current = Arc::new(RwLock::new(self.snapshot(folder)));
        let Self { manifest, state, recovery, .. } = self;
        let (log, lock) = writing.unzip();
        let writer =
            log.map(|log| Arc::new(Mutex::new(Writer { manifest, state, log: Arc::new(log) })));
        let (folder, worker) = (folder.to_owned(), Worker::default());
        Store { files, folder, options, recovery, writer, current, worker, lock }
    }
}

/// Remove what an interrupted flush left behind: files named as the store names them, and no others.
fn remove_strays(files: &dyn Files, folder: &Path, manifest: &Manifest) {
    let keep = manifest.names();
    let segments: Vec<u64> = manifest.segments.iter().map(|s| s.number).collect();
    let ours = |name: &str| {
        name == "MANIFEST.new"
            || name.strip_suffix(".new").and_then(segment_of_graph).is_some()
            || segment_of_graph(name).is_some_and(|segment| !segments.contains(&segment))
            || name.split_once('.').is_some_and(|(number, kind)| {
                number.parse::<u64>().is_ok() && ["arrow", "sums", "dead", "log"].contains(&kind)
            })
    };
    for name in files.list(folder).unwrap_or_default() {
        if ours(&name) && !keep.contains(&name) {
            let _ = files.remove(&folder.join(name));
        }
    }
}
