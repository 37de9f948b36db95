//! What the fuzzer calls, compiled for it and for tests: readers of files, behind their checksums.

use crate::blocks::Blocks;
use crate::files::{Disk, Files};
use crate::manifest::Manifest;
use crate::record::Record;
use crate::state::State;
use crate::{Columns, Filter, Id, Metric, Query, Snapshot, schema, segment};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use std::path::Path;
use std::sync::Arc;

/// Let only panics of our own be reported, or end the fuzzer: those of Arrow's readers are caught, and
/// one that is not ends it in any case.
pub fn hush() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let ours = |file: &str| file.contains("arrow_storage") || file.contains("vector_search");
        if panic.location().is_some_and(|place| ours(place.file())) {
            tell(panic);
        }
    }));
}

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

/// The schema that a segment says it has.
fn own_schema(bytes: &[u8]) -> Option<SchemaRef> {
    let tail = *bytes.last_chunk::<10>()?;
    let end = bytes.len() - 10;
    let start = end.checked_sub(arrow_ipc::reader::read_footer_length(tail).ok()?)?;
    let footer = arrow_ipc::root_as_footer(&bytes[start..end]).ok()?;
    let schema =
        segment::guarded(|| Ok(arrow_ipc::convert::fb_to_schema(footer.schema().ok_or("")?)));
    schema.ok().map(Arc::new)
}

/// A segment's bytes.
pub fn segment(bytes: &[u8]) {
    let Some(schema) = own_schema(bytes) else { return };
    let blocks = Blocks::trusted(Path::new("segment"), Buffer::from(bytes));
    for rows in segment::read(&Arc::new(blocks), &schema).into_iter().flatten() {
        for column in 0..schema.fields().len() {
            let _ = rows.vectors(column);
            let _ = rows.touch(column, std::iter::once(0..rows.len()));
        }
        if let Ok(batch) = rows.batch() {
            read(batch);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema};
    use proptest::prelude::*;

    fn rows() -> RecordBatch {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let values = Arc::new(Float32Array::from_iter_values((0..80).map(|x| x as f32)));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(0..20)),
            Arc::new(FixedSizeListArray::new(item.clone(), 4, values, None)),
            Arc::new(StringArray::from_iter((0..20).map(|i| (i % 3 > 0).then(|| "é".repeat(i))))),
        ];
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("vector", DataType::FixedSizeList(item, 4), false),
            Field::new("text", DataType::Utf8, true),
        ]);
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    /// A segment's bytes, a record's content and a manifest's text.
    fn sound() -> [Vec<u8>; 3] {
        hush();
        let folder = tempfile::tempdir().unwrap();
        let batch = rows();
        let batches = [Ok(batch.clone()), Ok(batch.slice(3, 9))];
        segment::write(&Disk, folder.path(), 1, &batch.schema(), batches).unwrap();
        let segment = Disk.read(&folder.path().join("1.arrow")).unwrap();
        let (pieces, _) = crate::record::frame(&Record::Put(batch.clone()), 0).unwrap();
        let record = pieces[1..].iter().flat_map(|piece| piece.to_vec()).collect();
        Manifest::new(batch.schema(), Columns::default(), Metric::L2)
            .write(&Disk, folder.path())
            .unwrap();
        let manifest = Disk.read(&folder.path().join("MANIFEST")).unwrap();
        let length = manifest.len() - "crc32 00000000\n".len();
        [segment, record, manifest[..length].to_vec()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn what_is_changed_behind_its_checksum_is_rows_or_an_error(
            which in 0usize..3,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            words in prop::collection::vec((any::<prop::sample::Index>(), -9i64..999), 0..3),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            static SOUND: std::sync::LazyLock<[Vec<u8>; 3]> = std::sync::LazyLock::new(sound);
            let mut bytes = SOUND[which].clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            // Offsets and lengths are words of eight bytes.
            for (at, word) in words {
                let at = at.index(bytes.len() / 8) * 8;
                bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            [segment, log, manifest][which](&bytes);
        }
    }
}
