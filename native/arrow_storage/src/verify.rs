//! Reading everything back.

use crate::dead;
use crate::files::{Disk, Files};
use crate::log::replay;
use crate::manifest::Manifest;
use crate::open::{Opened, beside_a_writer};
use crate::{Error, Id, Result, Store, schema, segment};
use std::collections::HashSet;
use std::path::Path;

/// What a store on disk consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments.
    pub segments: usize,
    /// Rows that can be found.
    pub rows: usize,
    /// Rows that are deleted or replaced, and still take room.
    pub dead: usize,
    /// Bytes of segments and log.
    pub bytes: u64,
}

impl Store {
    /// What the store consists of, as far as this handle sees it; nothing is checked.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn stats(&self) -> Result<Report> {
        let manifest = Manifest::read(&*self.files, &self.folder)?;
        let snapshot = self.snapshot();
        let path = manifest.log_path(&self.folder);
        let log = std::fs::metadata(&path).map_or(0, |log| log.len());
        Ok(Report {
            segments: manifest.segments.len(),
            rows: snapshot.count(),
            dead: snapshot.parts.iter().map(|part| part.rows.len() - part.live()).sum(),
            bytes: manifest.segments.iter().map(|s| s.bytes).sum::<u64>() + log,
        })
    }

    /// Read a store from its files, whether or not it is open, and check every checksum, every
    /// vector, and that no id comes twice.
    ///
    /// # Errors
    /// At the first thing that is wrong.
    pub fn verify(folder: &Path) -> Result<Report> {
        beside_a_writer(|| Self::verify_once(folder))
    }

    fn verify_once(folder: &Path) -> Result<Report> {
        let files = Disk;
        let manifest = Manifest::read(&files, folder)?;
        let mut report = Report { segments: manifest.segments.len(), ..Report::default() };
        for s in &manifest.segments {
            segment::verify(&files, folder, s)?;
            report.bytes += s.bytes;
        }
        if let Some(dead) = manifest.dead {
            dead::read(&files, folder, dead)?;
        }
        let path = manifest.log_path(folder);
        let log = files.read(&path).map_err(Error::io(&path))?;
        report.bytes += log.len() as u64;
        replay(&path, &log)?;
        let opened = Opened::read(&files, folder, &[])?;
        let column = schema::position(&manifest.schema, &manifest.columns.id)?;
        let mut seen = HashSet::new();
        for part in &opened.state.parts {
            let batch = part.compacted()?;
            schema::check_batch(&batch, &manifest.schema, &manifest.columns)?;
            report.rows += part.live();
            report.dead += part.rows.len() - part.live();
            for id in Id::column(batch.column(column)) {
                if let Some(id) = seen.replace(id) {
                    return Err(Error::corrupt(folder, 0, format!("id {id} is there twice")));
                }
            }
        }
        Ok(report)
    }
}
