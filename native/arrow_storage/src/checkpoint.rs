//! Turning the log into segments, and segments into fewer.

use crate::dead::{self, Tombstones};
use crate::index::segment_of_graph;
use crate::log::Log;
use crate::manifest::{Manifest, Segment};
use crate::state::{Part, State};
use crate::store::{Store, Writer};
use crate::{Result, segment};
use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rows of a batch in a segment, at most.
const BATCH: usize = 128 << 10;

impl Store {
    /// Move the log into a segment, joining segments that have become small beside it.
    ///
    /// # Errors
    /// If the disk fails; nothing is lost then.
    pub fn flush(&self) -> Result<()> {
        let mut writer = self.writer()?;
        self.checkpoint(&mut writer)
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
        let merged = small(writer);
        self.rewrite(writer, &merged)
    }

    /// Write the rows of the log and of some segments as a new segment, and forget those.
    pub(crate) fn rewrite(&self, writer: &mut Writer, old: &BTreeSet<u64>) -> Result<()> {
        writer.log.check()?;
        let moved = |part: &Part| part.home.is_none_or(|(segment, _)| old.contains(&segment));
        let (rows, kept): (Vec<Part>, Vec<Part>) =
            writer.state.parts.iter().cloned().partition(moved);
        let mut next = writer.manifest.clone();
        next.segments.retain(|segment| !old.contains(&segment.number));
        let tombstones: Tombstones = kept
            .iter()
            .filter(|part| !part.dead.is_empty())
            .filter_map(|part| Some((part.home?, (*part.dead).clone())))
            .collect();
        let prepared = self.prepare(&mut next, &rows, &tombstones);
        let (log, batches) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                self.discard(&next, &writer.manifest);
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
        let mut state = State::default();
        for part in kept {
            state.push(part.batch, part.home, (*part.dead).clone());
            if let Some(last) = state.parts.last_mut() {
                last.derived = part.derived;
            }
        }
        for (home, batch) in batches {
            state.push(batch, Some(home), RoaringBitmap::new());
        }
        writer.state = state;
        self.publish(writer);
        self.discard(&before, &writer.manifest);
        Ok(())
    }

    /// Make the files of the next manifest.
    #[allow(clippy::type_complexity, reason = "the log, and the batches with their places")]
    fn prepare(
        &self,
        next: &mut Manifest,
        rows: &[Part],
        tombstones: &Tombstones,
    ) -> Result<(Log, Vec<((u64, u32), RecordBatch)>)> {
        let (files, folder) = (&*self.files, &self.folder);
        let mut batches = Vec::new();
        if rows.iter().any(|part| part.live() > 0) {
            let number = next.take_number();
            // Listed before it is complete, so that a failure discards it.
            next.segments.push(Segment { number, bytes: 0, sums: 0 });
            let segment = segment::write(files, folder, number, &next.schema, joined(rows))?;
            let opened = segment::open(files, folder, &segment, &next.schema, false)?;
            batches = (0..).map(|i| (number, i)).zip(opened).collect();
            if let Some(last) = next.segments.last_mut() {
                *last = segment;
            }
        }
        next.dead = None;
        if !tombstones.is_empty() {
            let number = next.take_number();
            next.dead = Some(dead::write(files, folder, number, tombstones)?);
        }
        next.log = next.take_number();
        Ok((Log::create(files, next.log_path(folder))?, batches))
    }

    /// Remove the files of one manifest that another does not have; recovery removes what remains.
    fn discard(&self, unwanted: &Manifest, wanted: &Manifest) {
        let keep: BTreeSet<u64> = wanted.segments.iter().map(|s| s.number).collect();
        for segment in unwanted.segments.iter().filter(|s| !keep.contains(&s.number)) {
            segment::remove(&*self.files, &self.folder, segment.number);
        }
        for name in self.files.list(&self.folder).unwrap_or_default() {
            if segment_of_graph(&name).is_some_and(|segment| !keep.contains(&segment)) {
                let _ = self.files.remove(&self.folder.join(name));
            }
        }
        if let Some(dead) = unwanted.dead.filter(|_| unwanted.dead != wanted.dead) {
            dead::remove(&*self.files, &self.folder, dead);
        }
        if unwanted.log != wanted.log {
            let _ = self.files.remove(&unwanted.log_path(&self.folder));
        }
    }
}

/// The segments to be rewritten with the log: half dead ones, and from the end those that are not
/// at least twice as large as all after them, so that sizes fall geometrically and each row is
/// rewritten a logarithmic number of times.
fn small(writer: &Writer) -> BTreeSet<u64> {
    let mut rows: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    let mut after = 0;
    for part in &writer.state.parts {
        match part.home {
            Some((segment, _)) => {
                let (live, all) = rows.entry(segment).or_default();
                *live += part.live();
                *all += part.batch.num_rows();
            }
            None => after += part.live(),
        }
    }
    let mut chosen = BTreeSet::new();
    let mut tail = true;
    for (&segment, &(live, all)) in rows.iter().rev() {
        tail = tail && live < 2 * after;
        if tail || live * 2 < all {
            chosen.insert(segment);
            after += live;
        }
    }
    chosen
}

/// Live rows in batches of a good size: small ones together, the order kept.
fn joined(parts: &[Part]) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
    let mut rest = parts.iter().filter(|part| part.live() > 0).peekable();
    std::iter::from_fn(move || {
        let first = rest.next()?;
        let (mut group, mut rows) = (vec![first], first.live());
        while let Some(part) = rest.next_if(|part| rows + part.live() <= BATCH) {
            rows += part.live();
            group.push(part);
        }
        let batches: Result<Vec<_>> = group.into_iter().map(Part::compacted).collect();
        let schema = first.batch.schema();
        Some(batches.and_then(|batches| Ok(concat_batches(&schema, &batches)?)))
    })
}
