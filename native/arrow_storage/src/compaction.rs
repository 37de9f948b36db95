//! Joining segments while others read and write.
//!
//! The rows are copied without the writer's lock, by a thread that gives way to others. What was
//! deleted or replaced meanwhile is marked in the copy before it takes the place of its sources.

use crate::checkpoint::{discard, joined};
use crate::files::Files;
use crate::manifest::{Manifest, Segment};
use crate::rows::Rows;
use crate::state::{Part, State};
use crate::store::{Store, Writer, publish};
use crate::{Error, Result, Snapshot, schema, segment};
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

/// When segments are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compaction {
    /// By a thread of its own, whenever a flush leaves segments that have become small or half dead.
    #[default]
    Background,
    /// When [`Store::optimize`] or [`Store::compact`] is called.
    Explicit,
}

/// Segments that may wait for the thread; a flush that finds more waits for it.
const WAITING: usize = 64;

/// What joining segments needs of a store.
#[derive(Clone)]
struct Compactor {
    files: Arc<dyn Files>,
    folder: PathBuf,
    writer: Arc<Mutex<Writer>>,
    current: Arc<RwLock<Snapshot>>,
    stopping: Arc<AtomicBool>,
}

/// The thread, if one was begun, and the process that it is in.
pub(crate) struct Worker {
    process: u32,
    thread: Mutex<Option<JoinHandle<()>>>,
    stopping: Arc<AtomicBool>,
}

impl Default for Worker {
    fn default() -> Self {
        Self { process: std::process::id(), thread: Mutex::default(), stopping: Arc::default() }
    }
}

impl Worker {
    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait for what it does.
    pub fn wait(&self) {
        // A forked process has the handle of the thread, and not the thread.
        if self.process == std::process::id()
            && let Some(thread) = self.thread().take()
        {
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // To let go of it would detach whatever thread has its place now.
            let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(thread.take());
            return;
        }
        self.stopping.store(true, Ordering::Relaxed);
        self.wait();
    }
}

impl Store {
    /// Join segments that have become small or half dead, as [`Compaction::Background`] does by
    /// itself: sizes fall geometrically, and each row is copied a logarithmic number of times.
    /// Others read and write meanwhile.
    ///
    /// # Errors
    /// If the disk fails; nothing is lost then.
    pub fn optimize(&self) -> Result<()> {
        let Some(compactor) = self.compactor() else { return Err(Error::ReadOnly) };
        self.worker.wait();
        while compactor.join()? {}
        Ok(())
    }

    fn compactor(&self) -> Option<Compactor> {
        Some(Compactor {
            files: self.files.clone(),
            folder: self.folder.clone(),
            writer: self.writer.clone()?,
            current: self.current.clone(),
            stopping: self.worker.stopping.clone(),
        })
    }

    /// Begin to join segments, unless that goes on already or there is nothing to do.
    pub(crate) fn optimize_later(&self, writer: MutexGuard<'_, Writer>) {
        let waiting = writer.manifest.segments.len();
        let idle = self.options.compaction == Compaction::Explicit || small(&writer).is_empty();
        // The thread needs the lock to end.
        drop(writer);
        if idle {
            return;
        }
        let mut thread = self.worker.thread();
        if waiting > WAITING
            && let Some(running) = thread.take()
        {
            let _ = running.join();
        }
        if thread.as_ref().is_none_or(JoinHandle::is_finished)
            && let Some(compactor) = self.compactor()
        {
            let begun = std::thread::Builder::new().name("compaction".into()).spawn(move || {
                give_way();
                // What failed stays as it was, and is tried again after the next flush.
                while !compactor.stopping.load(Ordering::Relaxed)
                    && compactor.join().unwrap_or(false)
                {}
            });
            *thread = begun.ok();
        }
    }
}

/// Let other threads go first.
#[cfg(target_os = "linux")]
fn give_way() {
    // SAFETY: the call takes integers and no memory. On Linux it changes the priority of this
    // thread alone, and a refusal is no more than an error code.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 10);
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

impl Compactor {
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Join the segments that are small now, if there are such; whether there were.
    fn join(&self) -> Result<bool> {
        let mut writer = self.lock();
        writer.log.check()?;
        let chosen = small(&writer);
        let home = |part: &Part| part.home.is_some_and(|(segment, _)| chosen.contains(&segment));
        let sources: Vec<Part> = writer.state.parts.iter().filter(|p| home(p)).cloned().collect();
        if chosen.is_empty() {
            return Ok(false);
        }
        let number = writer.manifest.take_number();
        let schema = writer.manifest.schema.clone();
        let ids = schema::position(&schema, &writer.manifest.columns.id)?;
        drop(writer);
        let going = || match self.stopping.load(Ordering::Relaxed) {
            true => Err(Error::Stopped { reason: "the store is being closed".into() }),
            false => Ok(()),
        };
        let batches = joined(&sources).map(|batch| going().and(batch));
        let written = segment::write(&*self.files, &self.folder, number, &schema, batches);
        let opened = written.and_then(|made| {
            let rows = segment::open_written(&*self.files, &self.folder, &made, &schema)?;
            Ok((made, rows))
        });
        let placed = opened.and_then(|(made, rows)| self.place(&chosen, &sources, made, rows));
        let (mut writer, next, state) = match placed {
            Ok(Some(placed)) => placed,
            other => {
                segment::remove(&*self.files, &self.folder, number);
                return other.map(|_| false);
            }
        };
        if let Err(error) = next.write(&*self.files, &self.folder) {
            // The manifest on disk may be either, so that nothing more is written to this log.
            writer.log.stop(&error);
            return Err(error);
        }
        let before = std::mem::replace(&mut writer.manifest, next);
        writer.state.replace(state, ids);
        publish(&self.current, &writer);
        discard(&*self.files, &self.folder, &before, &writer.manifest);
        if writer.manifest.segments.iter().all(|segment| segment.number != number) {
            segment::remove(&*self.files, &self.folder, number);
        }
        Ok(true)
    }

    /// The manifest and the rows with a segment in the place of its sources, for whoever holds the
    /// lock; none if those have changed in other ways than by deletion.
    fn place(
        &self,
        chosen: &BTreeSet<u64>,
        sources: &[Part],
        made: Segment,
        rows: Vec<Arc<Rows>>,
    ) -> Result<Option<(MutexGuard<'_, Writer>, Manifest, State)>> {
        let writer = self.lock();
        writer.log.check()?;
        let now: BTreeMap<_, _> = writer.state.parts.iter().map(|p| (p.home, p.clone())).collect();
        let same =
            |part: &Part| now.get(&part.home).is_some_and(|now| Arc::ptr_eq(&now.rows, &part.rows));
        if !sources.iter().all(same) {
            return Ok(None);
        }
        let mut gone = vec![RoaringBitmap::new(); rows.len()];
        let mut first = 0;
        for part in sources {
            let since = now.get(&part.home).map(|now| &*now.dead - &*part.dead).unwrap_or_default();
            for row in since {
                let before = usize::try_from(part.dead.rank(row)).unwrap_or(usize::MAX);
                mark(&mut gone, &rows, first + row as usize - before);
            }
            first += part.live();
        }
        let (number, empty) = (made.number, rows.is_empty());
        let mut state = writer.state.successor(Vec::new());
        let mut new = Some((0..).zip(rows).zip(gone));
        for part in &writer.state.parts {
            if !part.home.is_some_and(|(segment, _)| chosen.contains(&segment)) {
                state.parts.push(part.clone());
                continue;
            }
            for ((batch, rows), gone) in new.take().into_iter().flatten() {
                state.push(rows, Some((number, batch)), gone);
            }
        }
        let mut next = writer.manifest.clone();
        let at = next.segments.iter().position(|s| chosen.contains(&s.number)).unwrap_or_default();
        // One without rows would stay for ever, since only what has rows is looked at again.
        if !empty {
            next.segments.insert(at, made);
        }
        next.segments.retain(|segment| !chosen.contains(&segment.number));
        next.bury(&*self.files, &self.folder, &state.tombstones())?;
        Ok(Some((writer, next, state)))
    }
}

/// Mark a row, counted over all batches, as gone.
fn mark(gone: &mut [RoaringBitmap], rows: &[Arc<Rows>], mut row: usize) {
    for (gone, rows) in gone.iter_mut().zip(rows) {
        if row < rows.len() {
            gone.insert(u32::try_from(row).unwrap_or(u32::MAX));
            return;
        }
        row -= rows.len();
    }
}

/// The segments to be joined: half dead ones, and from the end those that are not at least twice as
/// large as all after them, so that sizes fall geometrically.
fn small(writer: &Writer) -> BTreeSet<u64> {
    let mut rows: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for part in &writer.state.parts {
        if let Some((segment, _)) = part.home {
            let (live, all) = rows.entry(segment).or_default();
            *live += part.live();
            *all += part.rows.len();
        }
    }
    let order = writer.manifest.segments.iter().rev();
    let sizes: Vec<(u64, usize, usize)> = order
        .filter_map(|s| rows.get(&s.number).map(|&(live, all)| (s.number, live, all)))
        .collect();
    let mut chosen: BTreeSet<u64> =
        sizes.iter().filter(|(_, live, all)| live * 2 < *all).map(|&(number, ..)| number).collect();
    let mut after = 0;
    for (i, &(number, live, _)) in sizes.iter().enumerate() {
        if i > 0 && live >= 2 * after {
            break;
        }
        if i > 0 {
            chosen.extend([number, sizes[i - 1].0]);
        }
        after += live;
    }
    chosen
}
