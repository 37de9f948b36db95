//! Segments: immutable Arrow IPC files, mapped, with a checksum for each block.

use crate::blocks::{BLOCK, Blocks};
use crate::files::{Files, Writing};
use crate::manifest::Segment;
use crate::rows::Rows;
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{Block, MetadataVersion, root_as_footer};
use arrow_schema::SchemaRef;
use flatbuffers::Vector;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn paths(folder: &Path, number: u64) -> (PathBuf, PathBuf) {
    (folder.join(format!("{number}.arrow")), folder.join(format!("{number}.sums")))
}

/// Passes bytes on in whole blocks and keeps their checksums.
struct Summing<'a> {
    file: Writing<'a>,
    block: Vec<u8>,
    sums: Vec<u8>,
}

impl Summing<'_> {
    fn end_block(&mut self) -> io::Result<()> {
        self.file.write_all(&self.block)?;
        self.sums.extend(crc32fast::hash(&self.block).to_le_bytes());
        self.block.clear();
        Ok(())
    }
}

impl Write for Summing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.end_block()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Write a segment and return once its content is on disk (its name is with the folder's sync).
pub(crate) fn write(
    files: &dyn Files,
    folder: &Path,
    number: u64,
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
) -> Result<Segment> {
    let (path, sums_path) = paths(folder, number);
    let sink = files.create(&path).map_err(Error::io(&path))?;
    let summing = Summing { file: Writing::new(&*sink), block: Vec::new(), sums: Vec::new() };
    let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)?;
    let mut writer = FileWriter::try_new_with_options(summing, schema, options)?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    let mut summing = writer.into_inner()?;
    if !summing.block.is_empty() {
        summing.end_block().map_err(Error::io(&path))?;
    }
    sink.sync().map_err(Error::io(&path))?;
    let sums = files.create(&sums_path).map_err(Error::io(&sums_path))?;
    sums.write(&summing.sums, 0).and_then(|()| sums.sync()).map_err(Error::io(&sums_path))?;
    Ok(Segment { number, bytes: summing.file.at(), sums: crc32fast::hash(&summing.sums) })
}

/// Remove a segment's files; best effort, since recovery removes what no manifest lists.
pub(crate) fn remove(files: &dyn Files, folder: &Path, number: u64) {
    let (path, sums) = paths(folder, number);
    let _ = files.remove(&path);
    let _ = files.remove(&sums);
}

/// Map a segment whose checksums are known to be right without a look, for it was just written.
pub(crate) fn open_written(
    files: &dyn Files,
    folder: &Path,
    segment: &Segment,
    schema: &SchemaRef,
) -> Result<Vec<Arc<Rows>>> {
    let (path, _) = paths(folder, segment.number);
    let bytes = files.map(&path).map_err(Error::io(&path))?;
    read(&Arc::new(Blocks::trusted(&path, bytes.into())), schema)
}

fn blocks(files: &dyn Files, folder: &Path, segment: &Segment) -> Result<Blocks> {
    let (path, sums_path) = paths(folder, segment.number);
    Blocks::open(files, (&path, &sums_path), (segment.bytes, segment.sums))
}

/// Map a segment; its columns are views of the file, compared with checksums when they are touched.
pub(crate) fn open(
    files: &dyn Files,
    folder: &Path,
    segment: &Segment,
    schema: &SchemaRef,
) -> Result<Vec<Arc<Rows>>> {
    read(&Arc::new(blocks(files, folder, segment)?), schema)
}

/// Compare all of a segment with its checksums.
pub(crate) fn verify(files: &dyn Files, folder: &Path, segment: &Segment) -> Result<()> {
    let blocks = blocks(files, folder, segment)?;
    blocks.check(0..blocks.bytes().len())
}

/// Read what Arrow wrote. Its reader panics on some of what no writer writes (lengths beyond a
/// buffer), which only someone who made the checksums right can bring here: that is damage too.
pub(crate) fn guarded<T>(
    read: impl FnOnce() -> std::result::Result<T, String>,
) -> std::result::Result<T, String> {
    let read = std::panic::AssertUnwindSafe(read);
    std::panic::catch_unwind(read).unwrap_or_else(|_| Err("Arrow cannot read it".into()))
}

/// The batches of an Arrow IPC file, in order.
pub(crate) fn read(blocks: &Arc<Blocks>, schema: &SchemaRef) -> Result<Vec<Arc<Rows>>> {
    let bytes = blocks.bytes();
    let damaged = |what: String| blocks.damaged(bytes.len(), what);
    let text = |e: arrow_schema::ArrowError| damaged(e.to_string());
    let tail = *bytes.last_chunk::<10>().ok_or_else(|| damaged("it has no footer".into()))?;
    blocks.check(bytes.len() - 10..bytes.len())?;
    let start = (bytes.len() - 10).checked_sub(read_footer_length(tail).map_err(text)?);
    let start = start.ok_or_else(|| damaged("its footer is cut off".into()))?;
    blocks.check(start..bytes.len())?;
    let footer = root_as_footer(&bytes[start..bytes.len() - 10]);
    let footer = footer.map_err(|e| damaged(e.to_string()))?;
    let own = footer.schema().ok_or_else(|| damaged("it has no schema".into()))?;
    let own = guarded(|| Ok(fb_to_schema(own))).map_err(damaged)?;
    if own.fields() != schema.fields() {
        return Err(damaged("its columns are not those of the store".into()));
    }
    let listed = |list: Option<Vector<'_, Block>>| -> Vec<Block> {
        list.map(|blocks| blocks.iter().copied().collect()).unwrap_or_default()
    };
    let (dictionaries, records) = (listed(footer.dictionaries()), listed(footer.recordBatches()));
    if !dictionaries.is_empty() {
        // Dictionaries belong to all batches, and are read with them at once.
        blocks.check(0..bytes.len())?;
        let decoder = FileDecoder::new(schema.clone(), footer.version());
        let batches =
            guarded(|| coded(bytes, decoder, &dictionaries, &records)).map_err(damaged)?;
        return Ok(batches.into_iter().map(|batch| Arc::new(batch.into())).collect());
    }
    let rows = |block| Rows::map(blocks, block, footer.version(), schema).map(Arc::new);
    records.into_iter().map(rows).collect()
}

/// Batches with dictionaries. Arrow's reader of files would take memory for as many bytes as the
/// footer says that a block has; here a block is a view of the file, or an error.
fn coded(
    bytes: &Buffer,
    mut decoder: FileDecoder,
    dictionaries: &[Block],
    records: &[Block],
) -> std::result::Result<Vec<RecordBatch>, String> {
    let view = |block: &Block| {
        let length = i64::from(block.metaDataLength()).checked_add(block.bodyLength());
        let length = length.and_then(|length| usize::try_from(length).ok());
        let (start, length) = usize::try_from(block.offset()).ok().zip(length)?;
        let end = start.checked_add(length)?;
        (end <= bytes.len()).then(|| bytes.slice_with_length(start, length))
    };
    let view = |block| view(block).ok_or_else(|| "a block lies outside the file".to_owned());
    for block in dictionaries {
        decoder.read_dictionary(block, &view(block)?).map_err(|e| e.to_string())?;
    }
    let read = |block| {
        let batch = decoder.read_record_batch(block, &view(block)?).map_err(|e| e.to_string())?;
        batch.ok_or_else(|| "a block holds no rows".to_owned())
    };
    records.iter().map(read).collect()
}
