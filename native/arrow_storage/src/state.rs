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

    /// Add where its rows are that are not gone.
    fn note(&self, column: usize, places: &mut Places) -> Result<()> {
        let ids = (0..).zip(Id::column(&self.rows.column(column)?));
        let live = ids.filter(|(row, _)| !self.dead.contains(*row));
        places.extend(live.map(|(row, id)| (id, (self.key, row))));
        Ok(())
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

/// For each id its part's key and row.
type Places = HashMap<Id, (u32, u32)>;

/// All parts, and for a writer the place of each id.
#[derive(Default)]
pub(crate) struct State {
    pub parts: Vec<Part>,
    /// Made at the first write.
    index: Option<Places>,
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

    /// What shall come after this state: some of its parts, and others under keys that are new.
    pub fn successor(&self, kept: Vec<Part>) -> Self {
        Self { parts: kept, index: None, next_key: self.next_key }
    }

    /// Go over to a successor that has the same rows, in parts of this state or in new ones. Only the
    /// ids of new parts are read; `column` is theirs.
    pub fn replace(&mut self, next: Self, column: usize) {
        let new = next.parts.iter().filter(|part| part.key >= self.next_key);
        // An index that cannot follow is made anew by the next write, which tells why.
        self.index = self.index.take().and_then(|mut index| {
            new.clone().try_for_each(|part| part.note(column, &mut index)).ok().map(|()| index)
        });
        (self.parts, self.next_key) = (next.parts, next.next_key);
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

    fn index(&mut self, column: usize) -> Result<&mut Places> {
        if self.index.is_none() {
            let mut index = HashMap::with_capacity(self.parts.iter().map(Part::live).sum());
            self.parts.iter().try_for_each(|part| part.note(column, &mut index))?;
            self.index = Some(index);
        }
        Ok(self.index.get_or_insert_default())
    }

    /// The places of ids, part key and row: a look-up, made once for many. `column` is that of the ids.
    pub fn places(&mut self, column: usize) -> Result<&Places> {
        self.index(column).map(|index| &*index)
    }

    /// Where the part of a key is. There are few parts, and a joined one lies before older ones.
    pub fn at(&self, key: u32) -> Option<usize> {
        self.parts.iter().position(|part| part.key == key)
    }

    fn kill(&mut self, (key, row): (u32, u32)) {
        if let Some(at) = self.at(key) {
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
