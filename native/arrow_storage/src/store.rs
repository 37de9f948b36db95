//! A store that is open: writing to it, and taking snapshots.

use crate::compaction::Worker;
use crate::files::Files;
use crate::lock::Lock;
use crate::log::Log;
use crate::manifest::Manifest;
use crate::open::{Opened, Options, Recovery};
use crate::record::Record;
use crate::state::State;
use crate::{Error, Filter, Id, Result, Snapshot, schema};
use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// What is promised when a write returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It survives the loss of power: the log is synced before a write returns.
    #[default]
    Commit,
    /// It survives the death of the process; the loss of power takes at most the writes of the
    /// tenth of a second before the latest one.
    Batch,
    /// It survives the death of the process; the loss of power takes at most what was written since
    /// the last [`Store::sync`], flush or close that returned.
    None,
}

/// What a writer has and a reader has not.
pub(crate) struct Writer {
    pub manifest: Manifest,
    pub state: State,
    pub log: Arc<Log>,
}

/// Let new snapshots see what the writer has.
pub(crate) fn publish(current: &RwLock<Snapshot>, writer: &Writer) {
    let mut current = current.write().unwrap_or_else(PoisonError::into_inner);
    current.parts = writer.state.parts.clone().into();
}

/// An open store.
pub struct Store {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) folder: PathBuf,
    pub(crate) options: Options,
    pub(crate) recovery: Recovery,
    /// Absent in a store that was opened for reading.
    pub(crate) writer: Option<Arc<Mutex<Writer>>>,
    pub(crate) current: Arc<RwLock<Snapshot>>,
    pub(crate) worker: Worker,
    /// A writer's; dropped after the worker, which writes.
    pub(crate) lock: Option<Lock>,
}

impl Store {
    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What opening found in the log.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Whether it was opened for reading.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.writer.is_none()
    }

    /// See what another process has written since this store was opened for reading. A store that
    /// is open for writing sees its own writes anyway.
    ///
    /// # Errors
    /// As [`Store::open_read_only`]; the rows seen before stay then.
    pub fn refresh(&self) -> Result<()> {
        if self.is_read_only() {
            let known = self.snapshot();
            let opened = Opened::read_while_written(&*self.files, &self.folder, &known.parts)?;
            *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                opened.snapshot(&self.folder);
        }
        Ok(())
    }

    /// The rows as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// In a forked process, where every write is refused: let go of the lock's copy, so that the lock
    /// ends with the process that took it. Elsewhere nothing happens.
    pub fn let_go(&self) {
        if let Some(lock) = &self.lock {
            lock.let_go();
        }
    }

    /// The rows as they are while the writer is held, so that its places are theirs.
    fn held(&self, _: &Writer) -> Snapshot {
        self.snapshot()
    }

    pub(crate) fn writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.as_ref().ok_or(Error::ReadOnly)?;
        // Before the mutex, which a thread of the parent may have held when this process was forked.
        self.lock.as_ref().map_or(Ok(()), |lock| lock.check())?;
        Ok(writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Add rows of new ids. Returns how many.
    ///
    /// # Errors
    /// If the batch does not fit, an id is there already or comes twice, or the disk fails; in the
    /// first three cases nothing has changed.
    pub fn add(&self, batch: &RecordBatch) -> Result<usize> {
        self.put(batch, false)
    }

    /// Add rows, replacing those of the same ids. Returns how many.
    ///
    /// # Errors
    /// As [`Store::add`], but for ids that are there already.
    pub fn upsert(&self, batch: &RecordBatch) -> Result<usize> {
        self.put(batch, true)
    }

    fn put(&self, batch: &RecordBatch, replace: bool) -> Result<usize> {
        let mut guard = self.writer()?;
        let writer = &mut *guard;
        let (schema, columns) = (&writer.manifest.schema, &writer.manifest.columns);
        schema::check_batch(batch, schema, columns)?;
        schema::check_lengths(batch, schema, columns, writer.manifest.metric)?;
        if batch.num_rows() == 0 {
            return Ok(0);
        }
        // The store's own names and nullability, whatever the batch's say.
        let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?;
        let column = schema::position(schema, &columns.id)?;
        let ids = Id::column(batch.column(column));
        if let Some(row) = State::duplicate(&**batch.column(column), &ids) {
            return Err(Error::DuplicateId { id: ids[row].to_string(), row, twice: true });
        }
        let known = writer.state.places(column)?;
        if !replace && let Some(row) = ids.iter().position(|id| known.contains_key(id)) {
            return Err(Error::DuplicateId { id: ids[row].to_string(), row, twice: false });
        }
        let end = writer.log.append(&Record::Put(batch.clone()))?;
        writer.state.put(column, batch)?;
        self.finish(guard, end)?;
        Ok(ids.len())
    }

    /// Delete rows by id. Returns how many there were.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn delete(&self, ids: &[Id]) -> Result<usize> {
        let mut guard = self.writer()?;
        let writer = &mut *guard;
        let (schema, columns) = (&writer.manifest.schema, &writer.manifest.columns);
        let column = schema::position(schema, &columns.id)?;
        let known = writer.state.places(column)?;
        let mut there: Vec<Id> = ids.iter().filter(|id| known.contains_key(id)).cloned().collect();
        there.sort_unstable();
        there.dedup();
        self.remove(guard, there)
    }

    /// Delete the rows that a filter takes. Returns how many there were.
    ///
    /// # Errors
    /// If the filter does not fit the columns, or the disk fails.
    pub fn delete_where(&self, filter: &Filter) -> Result<usize> {
        let guard = self.writer()?;
        let (schema, columns) = (&guard.manifest.schema, &guard.manifest.columns);
        filter.check(schema)?;
        let column = schema::position(schema, &columns.id)?;
        let mut there = Vec::new();
        for part in &guard.state.parts {
            there.extend(Id::column(part.select(Some(filter), &[column])?.column(0)));
        }
        self.remove(guard, there)
    }

    /// Delete ids that are all there, each once.
    fn remove(&self, mut guard: MutexGuard<'_, Writer>, there: Vec<Id>) -> Result<usize> {
        if there.is_empty() {
            return Ok(0);
        }
        let writer = &mut *guard;
        let (schema, columns) = (&writer.manifest.schema, &writer.manifest.columns);
        let column = schema::position(schema, &columns.id)?;
        let kind = schema.field(column).data_type().clone();
        let field = Field::new(columns.id.clone(), kind.clone(), false);
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(vec![field])),
            vec![Id::array(&there, &kind)],
        )?;
        let end = writer.log.append(&Record::Delete(batch))?;
        let found = writer.state.delete(column, there)?;
        self.finish(guard, end)?;
        Ok(found)
    }

    /// Publish, let the next writer go on, and keep the promise of the durability asked for.
    ///
    /// A flush that fails here leaves the log as it was, where the write is safe; the next write
    /// tries again, and [`Store::flush`] tells why.
    fn finish(&self, mut guard: MutexGuard<'_, Writer>, end: u64) -> Result<()> {
        publish(&self.current, &guard);
        let log = guard.log.clone();
        if log.length() >= self.options.flush_bytes && self.checkpoint(&mut guard).is_ok() {
            self.optimize_later(guard);
            return Ok(());
        }
        drop(guard);
        match self.options.durability {
            Durability::Commit => log.commit(end),
            Durability::Batch => log.commit_sometimes(end),
            Durability::None => log.check(),
        }?;
        // A folder that was removed takes what is written and keeps nothing.
        self.lock.as_ref().map_or(Ok(()), |lock| lock.check())
    }

    /// The rows of some ids, in their order; ids that are not there are passed over.
    ///
    /// # Errors
    /// If Arrow cannot take rows.
    pub fn get(&self, ids: &[Id]) -> Result<RecordBatch> {
        if self.writer.is_none() {
            return self.snapshot().get(ids);
        }
        let mut writer = self.writer()?;
        let column = schema::position(&writer.manifest.schema, &writer.manifest.columns.id)?;
        let known = writer.state.places(column)?;
        let places: Vec<_> = ids.iter().filter_map(|id| known.get(id).copied()).collect();
        let place = |(key, row)| Some((writer.state.at(key)?, row as usize));
        let places: Vec<_> = places.into_iter().filter_map(place).collect();
        let snapshot = self.held(&writer);
        drop(writer);
        snapshot.take(&places)
    }

    /// Return once everything written is on disk.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(&self) -> Result<()> {
        let log = self.writer()?.log.clone();
        log.commit(log.length())
    }

    /// Let a compaction end, mark a clean end and let go of the store; a store that is only dropped is
    /// recovered later.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn close(self) -> Result<()> {
        if self.lock.as_ref().is_some_and(|lock| !lock.is_ours()) {
            return Ok(());
        }
        self.worker.wait();
        if self.writer.is_some() { self.writer()?.log.close() } else { Ok(()) }
    }
}
