//! Tombstones: which rows of each segment are deleted or replaced.

use crate::files::Files;
use crate::manifest::Dead;
use crate::{Error, Result};
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Deleted rows, by segment and batch within it.
pub(crate) type Tombstones = BTreeMap<(u64, u32), RoaringBitmap>;

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.dead"))
}

/// Write a file of tombstones, synced.
pub(crate) fn write(
    files: &dyn Files,
    folder: &Path,
    number: u64,
    dead: &Tombstones,
) -> Result<Dead> {
    let path = path(folder, number);
    let mut bytes = Vec::new();
    for (&(segment, batch), rows) in dead {
        bytes.extend(segment.to_le_bytes());
        bytes.extend(batch.to_le_bytes());
        rows.serialize_into(&mut bytes).map_err(Error::io(&path))?;
    }
    let sink = files.create(&path).map_err(Error::io(&path))?;
    sink.write(&bytes, 0).and_then(|()| sink.sync()).map_err(Error::io(&path))?;
    Ok(Dead { number, sum: crc32fast::hash(&bytes) })
}

/// Read a file of tombstones.
pub(crate) fn read(files: &dyn Files, folder: &Path, dead: Dead) -> Result<Tombstones> {
    let path = path(folder, dead.number);
    let bytes = files.read(&path).map_err(Error::io(&path))?;
    if crc32fast::hash(&bytes) != dead.sum {
        return Err(Error::corrupt(&path, 0, "its checksum is wrong"));
    }
    let (mut rest, mut found) = (&bytes[..], Tombstones::new());
    while let Some((segment, after)) = rest.split_first_chunk::<8>() {
        let at = bytes.len() - rest.len();
        let short = || Error::corrupt(&path, at, "an entry is cut off");
        let (batch, after) = after.split_first_chunk::<4>().ok_or_else(short)?;
        rest = after;
        let rows = RoaringBitmap::deserialize_from(&mut rest).map_err(|_| short())?;
        found.insert((u64::from_le_bytes(*segment), u32::from_le_bytes(*batch)), rows);
    }
    if rest.is_empty() {
        Ok(found)
    } else {
        Err(Error::corrupt(&path, bytes.len(), "it is cut off"))
    }
}

/// Remove a file of tombstones; best effort.
pub(crate) fn remove(files: &dyn Files, folder: &Path, dead: Dead) {
    let _ = files.remove(&path(folder, dead.number));
}
