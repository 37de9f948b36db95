//! Turning the log into segments, and segments into fewer.

use crate::dead::{self, Tombstones};
use crate::files::Files;
use crate::index::segment_of_graph;
use crate::log::Log;
use crate::manifest::{Manifest, Segment};
use crate::rows::Rows;
use crate::state::Part;
use crate::store::{Store, Writer, publish};
use crate::{Result, schema, segment};
use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Rows of a batch in a segment, at most.
const BATCH: usize = 128 << 10;

impl Store {
    /// Move the log into a segment; what becomes of small segments [`Options::compaction`] says.
    ///
    /// [`Options::compaction`]: crate::Options::compaction
    ///
    /// # Errors
    /// If the disk fails; nothing is lost then.
    pub fn flush(&self) -> Result<()> {
        let mut writer = self.writer()?;
        self.checkpoint(&mut writer)?;
        self.optimize_later(writer);
        Ok(())
    }

    /// Rewrite everything as one segment without deleted rows; graphs are built anew where there
    /// were some.
    ///
    /// # Errors
    /// If the disk fails; nothing is lost then.
    pub fn compact(&self) -> Result<()> {
        let mut writer = self.writer()?;
        let indexed = self.indexed() > 0;
        let all = writer.manifest.segments.iter().map(|s| s.number).collect();
        self.rewrite(&mut writer, &all)?;
        drop(writer);
        if indexed { self.create_index() } else { Ok(()) }
    }

    pub(crate) fn checkpoint(&self, writer: &mut Writer) -> Result<()> {
        self.rewrite(writer, &BTreeSet::new())
    }

    /// Write the rows of the log and of some segments as a new segment, and forget those.
    pub(crate) fn rewrite(&self, writer: &mut Writer, old: &BTreeSet<u64>) -> Result<()> {
        writer.log.check()?;
        let ids = schema::position(&writer.manifest.schema, &writer.manifest.columns.id)?;
        let moved = |part: &Part| part.home.is_none_or(|(segment, _)| old.contains(&segment));
        let (rows, kept): (Vec<Part>, Vec<Part>) =
            writer.state.parts.iter().cloned().partition(moved);
        let mut next = writer.manifest.clone();
        next.segments.retain(|segment| !old.contains(&segment.number));
        let mut state = writer.state.successor(kept);
        let prepared = self.prepare(&mut next, &rows, &state.tombstones());
        let (log, batches) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                discard(&*self.files, &self.folder, &next, &writer.manifest);
                return Err(error);
            }
        };
        // From here on the manifest on disk may be either; a failure leaves that unknown.
        if let Err(error) = next.write(&*self.files, &self.folder) {
            writer.log.stop(&error);
            return Err(error);
        }
        let before = std::mem::replace(&mut writer.manifest, next);
        writer.log = Arc::new(log);
        for (home, rows) in batches {
            state.push(rows, Some(home), RoaringBitmap::new());
        }
        writer.state.replace(state, ids);
        publish(&self.current, writer);
        discard(&*self.files, &self.folder, &before, &writer.manifest);
        Ok(())
    }

    /// Make the files of the next manifest.
    #[allow(clippy::type_complexity, reason = "the log, and the batches with their places")]
    fn prepare(
        &self,
        next: &mut Manifest,
        rows: &[Part],
        tombstones: &Tombstones,
    ) -> Result<(Log, Vec<((u64, u32), Arc<Rows>)>)> {
        let (files, folder) = (&*self.files, &self.folder);
        let mut batches = Vec::new();
        if rows.iter().any(|part| part.live() > 0) {
            let number = next.take_number();
            // Listed before it is complete, so that a failure discards it.
            next.segments.push(Segment { number, bytes: 0, sums: 0 });
            let segment = segment::write(files, folder, number, &next.schema, joined(rows))?;
            let opened = segment::open_written(files, folder, &segment, &next.schema)?;
            batches = (0..).map(|i| (number, i)).zip(opened).collect();
            if let Some(last) = next.segments.last_mut() {
                *last = segment;
            }
        }
        next.bury(files, folder, tombstones)?;
        next.log = next.take_number();
        Ok((Log::create(files, next.log_path(folder))?, batches))
    }
}

/// Remove the files of one manifest that another does not have; recovery removes what remains.
pub(crate) fn discard(files: &dyn Files, folder: &Path, unwanted: &Manifest, wanted: &Manifest) {
    let keep: BTreeSet<u64> = wanted.segments.iter().map(|s| s.number).collect();
    let lost: BTreeSet<u64> = unwanted
        .segments
        .iter()
        .map(|s| s.number)
        .filter(|number| !keep.contains(number))
        .collect();
    for &number in &lost {
        segment::remove(files, folder, number);
    }
    for name in files.list(folder).unwrap_or_default() {
        if segment_of_graph(&name).is_some_and(|segment| lost.contains(&segment)) {
            let _ = files.remove(&folder.join(name));
        }
    }
    if let Some(dead) = unwanted.dead.filter(|_| unwanted.dead != wanted.dead) {
        dead::remove(files, folder, dead);
    }
    if unwanted.log != wanted.log {
        let _ = files.remove(&unwanted.log_path(folder));
    }
}

/// Live rows in batches of a good size: small ones together, the order kept.
pub(crate) fn joined(parts: &[Part]) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
    let mut rest = parts.iter().filter(|part| part.live() > 0).peekable();
    std::iter::from_fn(move || {
        let first = rest.next()?;
        let (mut group, mut rows) = (vec![first], first.live());
        while let Some(part) = rest.next_if(|part| rows + part.live() <= BATCH) {
            rows += part.live();
            group.push(part);
        }
        let batches: Result<Vec<_>> = group.into_iter().map(Part::compacted).collect();
        let schema = first.rows.schema();
        Some(batches.and_then(|batches| Ok(concat_batches(schema, &batches)?)))
    })
}
