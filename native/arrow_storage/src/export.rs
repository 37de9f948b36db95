//! Rows as a Parquet file.

use crate::files::{Disk, Files};
use crate::{Error, Filter, Result, Snapshot};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::Path;

/// Rows of a row group: what a reader must hold at once.
const GROUP: usize = 64 << 10;

impl Snapshot {
    /// Write the rows that a filter takes to a Parquet file, which is replaced as a whole, and on
    /// disk when this returns. Returns how many rows.
    ///
    /// # Errors
    /// If a column does not exist, the filter does not fit, Parquet has no such type, or the disk
    /// fails; the file is as it was then.
    pub fn export_parquet(
        &self,
        path: &Path,
        filter: Option<Filter>,
        columns: Option<&[&str]>,
    ) -> Result<usize> {
        let (schema, batches) = self.select(filter, columns)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let temporary = Path::new(&name);
        let parquet = |e: ParquetError| Error::Schema(format!("{}: {e}", path.display()));
        let write = || {
            let file = File::create(temporary).map_err(Error::io(temporary))?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_max_row_group_row_count(Some(GROUP))
                .build();
            let mut writer =
                ArrowWriter::try_new(file, schema, Some(properties)).map_err(parquet)?;
            let mut rows = 0;
            for batch in batches {
                let batch = batch?;
                rows += batch.num_rows();
                writer.write(&batch).map_err(parquet)?;
            }
            let file = writer.into_inner().map_err(parquet)?;
            file.sync_all().map_err(Error::io(temporary))?;
            std::fs::rename(temporary, path).map_err(Error::io(path))?;
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            Disk.sync_folder(folder.unwrap_or(Path::new("."))).map_err(Error::io(path))?;
            Ok(rows)
        };
        let done = write();
        if done.is_err() {
            let _ = std::fs::remove_file(temporary);
        }
        done
    }
}
