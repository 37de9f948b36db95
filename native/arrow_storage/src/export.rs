//! Rows as a Parquet file.

use crate::files::{Disk, Writing, replace};
use crate::{Error, Filter, Result, Snapshot};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
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
        let parquet = |e: ParquetError| Error::Schema(format!("{}: {e}", path.display()));
        replace(&Disk, path, |file| {
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_max_row_group_row_count(Some(GROUP))
                .build();
            let file = Writing::new(file);
            let mut writer =
                ArrowWriter::try_new(file, schema, Some(properties)).map_err(parquet)?;
            let mut rows = 0;
            for batch in batches {
                let batch = batch?;
                rows += batch.num_rows();
                writer.write(&batch).map_err(parquet)?;
            }
            writer.close().map_err(parquet)?;
            Ok(rows)
        })
    }
}
