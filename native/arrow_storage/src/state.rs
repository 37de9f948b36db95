//! The rows in memory (mapped segments and the log's batches), and where each id lives.

use crate::dead::Tombstones;
use crate::index::Derived;
use crate::rows::Rows;
use crate::{Id, Result};
use ahash::{HashMap, HashMapExt, HashSet, HashSetExt};
use arrow_array::{Array, RecordBatch};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Some rows that lie together, and which of them are gone.
#[derive(Clone, Debug)]
pub struct Part {
    pub(crate) key: u32,
    /// Segment and batch within it; none for rows that are in the log only.
    pub(crate) home: Option<(u64, u32)>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) dead: Arc<RoaringBitmap>,
    pub(crate) derived: Arc<Derived>,
}

impl Part {
    fn new(key: u32, home: Option<(u64, u32)>, rows: Arc<Rows>) -> Self {
        Self { key, home, rows, dead: Arc::default(), derived: Arc::default() }
    }

    /// All rows, gone ones included.
    ///
    /// # Errors
    /// If the segment is damaged.
    pub fn batch(&self) -> Result<RecordBatch> {
        self.rows.batch()
    }

    /// Rows that are gone.
    #[must_use]
    pub fn dead(&self) -> &RoaringBitmap {
        &self.dead
    }

    /// How many rows are not.
    #[must_use]
    pub fn live(&self) -> usize {
        self.rows.len() - usize::try_from(self.dead.len()).unwrap_or(usize::MAX)
    }

    /// One bit a row: set where it is not gone.
    #[must_use]
    pub fn live_bits(&self) -> Vec<u64> {
        let rows = self.rows.len();
        let mut words = vec![u64::MAX; rows.div_ceil(64)];
        if let Some(last) = words.last_mut() {
            *last >>= (64 - rows % 64) % 64;
        }
        for row in self.dead.iter() {
            words[row as usize / 64] &= !(1 << (row % 64));
        }
        words
    }

    /// The rows that are not gone, copied only if some are.
    ///
    /// # Errors
    /// If the segment is damaged, or Arrow cannot filter a column.
    pub fn compacted(&self) -> Result<RecordBatch> {
        let batch = self.rows.batch()?;
        if self.dead.is_empty() {
            return Ok(batch);
        }
        let rows = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let keep = (0..rows).map(|row| Some(!self.dead.contains(row))).collect();
        Ok(arrow_select::filter::filter_record_batch(&batch, &keep)?)
    }
}

/// All parts, and for a writer the place of each id.
#[derive(Default)]
pub(crate) struct State {
    pub parts: Vec<Part>,
    /// For each id its part's key and row; made at the first write.
    index: Option<HashMap<Id, (u32, u32)>>,
    next_key: u32,
}

/// Rows of the log that are kept apart until they double.
const SMALL: usize = 4096;

impl State {
    /// Add rows whose ids no other part has live, or whose earlier rows are in tombstones already.
    pub fn push(&mut self, rows: Arc<Rows>, home: Option<(u64, u32)>, dead: RoaringBitmap) {
        let key = self.next_key;
        self.next_key += 1;
        self.index = None;
        self.parts.push(Part { dead: Arc::new(dead), ..Part::new(key, home, rows) });
    }

    /// Add a part as it is.
    pub fn keep(&mut self, part: &Part) {
        self.push(part.rows.clone(), part.home, RoaringBitmap::new());
        if let Some(last) = self.parts.last_mut() {
            *last = Part { key: last.key, ..part.clone() };
        }
    }

    /// The rows of segments that are gone.
    pub fn tombstones(&self) -> Tombstones {
        let dead = self.parts.iter().filter(|part| !part.dead.is_empty());
        dead.filter_map(|part| Some((part.home?, (*part.dead).clone()))).collect()
    }

    /// The rows of some parts, wherever they lie, as if they came from a log.
    pub fn of(parts: &[Part]) -> Self {
        let mut state = Self::default();
        for part in parts {
            state.push(part.rows.clone(), None, (*part.dead).clone());
        }
        state
    }

    fn index(&mut self, id: usize) -> Result<&mut HashMap<Id, (u32, u32)>> {
        if self.index.is_none() {
            let mut index = HashMap::with_capacity(self.parts.iter().map(Part::live).sum());
            for part in &self.parts {
                for (row, id) in (0..).zip(Id::column(&part.rows.column(id)?)) {
                    if !part.dead.contains(row) {
                        index.insert(id, (part.key, row));
                    }
                }
            }
            self.index = Some(index);
        }
        Ok(self.index.get_or_insert_default())
    }

    /// The places of ids, part key and row: a look-up, made once for many. `column` is that of the ids.
    pub fn places(&mut self, column: usize) -> Result<&HashMap<Id, (u32, u32)>> {
        self.index(column).map(|index| &*index)
    }

    fn kill(&mut self, (key, row): (u32, u32)) {
        if let Ok(at) = self.parts.binary_search_by_key(&key, |part| part.key) {
            Arc::make_mut(&mut self.parts[at].dead).insert(row);
        }
    }

    /// Add rows from the log; rows of the same ids are replaced.
    pub fn put(&mut self, column: usize, batch: RecordBatch) -> Result<()> {
        let key = self.next_key;
        self.next_key += 1;
        let ids = Id::column(batch.column(column));
        let index = self.index(column)?;
        let replaced: Vec<_> =
            (0..).zip(ids).filter_map(|(row, id)| index.insert(id, (key, row))).collect();
        self.parts.push(Part::new(key, None, Arc::new(batch.into())));
        replaced.into_iter().for_each(|place| self.kill(place));
        self.merge_small(column)
    }

    /// Remove ids; returns how many were there.
    pub fn delete(&mut self, column: usize, ids: impl IntoIterator<Item = Id>) -> Result<usize> {
        let mut places = Vec::new();
        let index = self.index(column)?;
        places.extend(ids.into_iter().filter_map(|id| index.remove(&id)));
        let found = places.len();
        places.into_iter().for_each(|place| self.kill(place));
        Ok(found)
    }

    /// Join small batches of the log, so that their number grows with the logarithm of the rows.
    fn merge_small(&mut self, column: usize) -> Result<()> {
        while let [.., before, last] = &self.parts[..]
            && before.home.is_none()
            && last.rows.len() <= SMALL
            && before.rows.len() <= 2 * last.rows.len()
        {
            let rows = [before.compacted()?, last.compacted()?];
            let batch = arrow_select::concat::concat_batches(last.rows.schema(), &rows)?;
            let key = last.key;
            self.parts.truncate(self.parts.len() - 2);
            let ids = Id::column(batch.column(column));
            if let Some(index) = &mut self.index {
                index.extend((0..).zip(ids).map(|(row, id)| (id, (key, row))));
            }
            self.parts.push(Part::new(key, None, Arc::new(batch.into())));
        }
        Ok(())
    }

    /// Whether an array of ids has the same id twice: the row of the second.
    pub fn duplicate(ids: &dyn Array, values: &[Id]) -> Option<usize> {
        let mut seen = HashSet::with_capacity(ids.len());
        values.iter().position(|id| !seen.insert(id))
    }
}
