//! Snapshots in folders of their own, and going back to one.

use crate::state::State;
use crate::{Error, Result, Store};
use std::path::Path;

impl Store {
    /// Write all rows as a store of its own in a folder that is empty or not there yet.
    ///
    /// Others write and read meanwhile; the copy holds what was there at the call.
    ///
    /// # Errors
    /// If the folder holds anything, or the disk fails.
    pub fn save_snapshot(&self, folder: &Path) -> Result<()> {
        let now = self.snapshot();
        let columns = (*now.columns).clone();
        let copy = Self::create(folder, now.schema.clone(), columns, now.metric, self.options)?;
        copy.replace(State::of(&now.parts))?;
        copy.close()
    }

    /// Replace all rows by those of a snapshot, at once: a reader sees the one or the other.
    ///
    /// # Errors
    /// If the folder is no store, is damaged, or has another schema or metric; nothing has changed
    /// then. If the disk fails.
    pub fn restore_snapshot(&self, folder: &Path) -> Result<()> {
        let copy = Self::open_read_only(folder, self.options)?;
        let (copy, now) = (copy.snapshot(), self.snapshot());
        if copy.schema.fields() != now.schema.fields()
            || copy.columns != now.columns
            || copy.metric != now.metric
        {
            let folder = folder.display();
            return Err(Error::Schema(format!(
                "expected a snapshot of this store, got {folder}, of other columns or another metric"
            )));
        }
        self.replace(State::of(&copy.parts))
    }

    /// Write other rows as the only segment.
    fn replace(&self, state: State) -> Result<()> {
        let mut writer = self.writer()?;
        let all = writer.manifest.segments.iter().map(|s| s.number).collect();
        let before = std::mem::replace(&mut writer.state, state);
        let done = self.rewrite(&mut writer, &all);
        if done.is_err() {
            writer.state = before;
        }
        done
    }
}
