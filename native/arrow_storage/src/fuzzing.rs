//! What the fuzzer calls, compiled for it alone: readers of files, behind their checksums.

use crate::files::{Disk, Files};
use crate::manifest::Manifest;
use crate::record::Record;
use crate::state::State;
use crate::{Columns, Filter, Id, Metric, Query, Snapshot, schema, segment};
use arrow_array::RecordBatch;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

/// Use rows as an open store would.
fn read(batch: RecordBatch) {
    let columns = Columns::default();
    let schema = batch.schema();
    if schema::check(&schema, &columns).is_err() || batch.num_rows() > 1 << 16 {
        return;
    }
    if schema::check_batch(&batch, &schema, &columns).is_err() {
        return;
    }
    let Ok(column) = schema::position(&schema, &columns.id) else { return };
    let ids = Id::column(batch.column(column));
    let mut state = State::default();
    if state.put(column, batch).is_err() {
        return;
    }
    let snapshot = Snapshot {
        schema,
        columns: Arc::new(columns),
        metric: Metric::Cosine,
        folder: Path::new("").into(),
        parts: state.parts.into(),
    };
    let _ = snapshot.get(&ids);
    let dim = snapshot.dimension();
    if dim < 4096 {
        let _ = snapshot.search(&vec![1.0; dim], &Query::new(3));
    }
}

/// A segment's bytes.
pub fn segment(bytes: &[u8]) {
    if let Ok(batches) = segment::decode(Bytes::copy_from_slice(bytes)) {
        batches.into_iter().for_each(read);
    }
}

/// The content of a record.
pub fn log(bytes: &[u8]) {
    if let Ok(Record::Put(batch) | Record::Delete(batch)) = Record::decode(bytes) {
        read(batch);
    }
    let _ = crate::log::replay(Path::new("log"), bytes);
}

/// A manifest's text, without its checksum.
pub fn manifest(bytes: &[u8]) {
    let sum = crc32fast::hash(bytes);
    let text = [bytes, format!("crc32 {sum:08x}\n").as_bytes()].concat();
    if let Ok(manifest) = Manifest::decode(Path::new("MANIFEST"), &text) {
        manifest.names();
        let _ = Disk.read(&manifest.log_path(Path::new("/nowhere")));
    }
}

/// A filter's text.
pub fn filter(text: &str) {
    let columns: [(&str, arrow_array::ArrayRef); 3] = [
        ("a", Arc::new(arrow_array::Int64Array::from(vec![Some(1), None]))),
        ("b", Arc::new(arrow_array::StringArray::from(vec![Some("x"), None]))),
        ("c", Arc::new(arrow_array::Float64Array::from(vec![Some(0.5), None]))),
    ];
    if let Ok(batch) = RecordBatch::try_from_iter(columns)
        && let Ok(filter) = Filter::parse(text)
    {
        let _ = filter.mask(&batch);
    }
}
