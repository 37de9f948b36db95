//! The rows in memory (mapped segments and the log's batches), and where each id lives.

use crate::index::Derived;
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
    pub(crate) batch: RecordBatch,
    pub(crate) dead: Arc<RoaringBitmap>,
    pub(crate) derived: Arc<Derived>,
}

impl Part {
    fn new(key: u32, home: Option<(u64, u32)>, batch: RecordBatch) -> Self {
        Self { key, home, batch, dead: Arc::default(), derived: Arc::default() }
    }

    /// All rows, gone ones included.
    #[must_use]
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Rows that are gone.
    #[must_use]
    pub fn dead(&self) -> &RoaringBitmap {
        &self.dead
    }

    /// How many rows are not.
    #[must_use]
    pub fn live(&self) -> usize {
        self.batch.num_rows() - usize::try_from(self.dead.len()).unwrap_or(usize::MAX)
    }

    /// One bit a row: set where it is not gone.
    #[must_use]
    pub fn live_bits(&self) -> Vec<u64> {
        let rows = self.batch.num_rows();
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
    /// If Arrow cannot filter a column.
    pub fn compacted(&self) -> Result<RecordBatch> {
        if self.dead.is_empty() {
            return Ok(self.batch.clone());
        }
        let rows = u32::try_from(self.batch.num_rows()).unwrap_or(u32::MAX);
        let keep = (0..rows).map(|row| Some(!self.dead.contains(row))).collect();
        Ok(arrow_select::filter::filter_record_batch(&self.batch, &keep)?)
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
    pub fn push(&mut self, batch: RecordBatch, home: Option<(u64, u32)>, dead: RoaringBitmap) {
        let key = self.next_key;
        self.next_key += 1;
        self.index = None;
        self.parts.push(Part { dead: Arc::new(dead), ..Part::new(key, home, batch) });
    }

    /// The rows of some parts, wherever they lie, as if they came from a log.
    pub fn of(parts: &[Part]) -> Self {
        let mut state = Self::default();
        for part in parts {
            state.push(part.batch.clone(), None, (*part.dead).clone());
        }
        state
    }

    fn index(&mut self, id: usize) -> &mut HashMap<Id, (u32, u32)> {
        let parts = &self.parts;
        self.index.get_or_insert_with(|| {
            let mut index = HashMap::with_capacity(parts.iter().map(Part::live).sum());
            for part in parts {
                for (row, id) in (0..).zip(Id::column(part.batch.column(id))) {
                    if !part.dead.contains(row) {
                        index.insert(id, (part.key, row));
                    }
                }
            }
            index
        })
    }

    /// The place of an id: part key and row. `column` is that of the ids.
    pub fn find(&mut self, column: usize, id: &Id) -> Option<(u32, u32)> {
        self.index(column).get(id).copied()
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
        let index = self.index(column);
        let replaced: Vec<_> =
            (0..).zip(ids).filter_map(|(row, id)| index.insert(id, (key, row))).collect();
        self.parts.push(Part::new(key, None, batch));
        replaced.into_iter().for_each(|place| self.kill(place));
        self.merge_small(column)
    }

    /// Remove ids; returns how many were there.
    pub fn delete(&mut self, column: usize, ids: impl IntoIterator<Item = Id>) -> usize {
        let mut places = Vec::new();
        let index = self.index(column);
        places.extend(ids.into_iter().filter_map(|id| index.remove(&id)));
        let found = places.len();
        places.into_iter().for_each(|place| self.kill(place));
        found
    }

    /// Join small batches of the log, so that their number grows with the logarithm of the rows.
    fn merge_small(&mut self, column: usize) -> Result<()> {
        while let [.., before, last] = &self.parts[..]
            && before.home.is_none()
            && last.batch.num_rows() <= SMALL
            && before.batch.num_rows() <= 2 * last.batch.num_rows()
        {
            let rows = [before.compacted()?, last.compacted()?];
            let batch = arrow_select::concat::concat_batches(&last.batch.schema(), &rows)?;
            let key = last.key;
            self.parts.truncate(self.parts.len() - 2);
            let ids = Id::column(batch.column(column));
            if let Some(index) = &mut self.index {
                index.extend((0..).zip(ids).map(|(row, id)| (id, (key, row))));
            }
            self.parts.push(Part::new(key, None, batch));
        }
        Ok(())
    }

    /// Whether an array of ids has the same id twice: the row of the second.
    pub fn duplicate(ids: &dyn Array, values: &[Id]) -> Option<usize> {
        let mut seen = HashSet::with_capacity(ids.len());
        values.iter().position(|id| !seen.insert(id))
    }
}
