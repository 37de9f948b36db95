//! Segments: immutable Arrow IPC files, mapped, with a checksum for each block.

use crate::files::{Files, Sink};
use crate::manifest::Segment;
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{Block, MetadataVersion, root_as_footer};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use rayon::prelude::*;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that share a checksum.
const BLOCK: usize = 64 << 10;

fn paths(folder: &Path, number: u64) -> (PathBuf, PathBuf) {
    (folder.join(format!("{number}.arrow")), folder.join(format!("{number}.sums")))
}

/// Passes bytes on in whole blocks and keeps their checksums.
struct Summing<'a> {
    sink: &'a dyn Sink,
    block: Vec<u8>,
    sums: Vec<u8>,
    bytes: u64,
}

impl Summing<'_> {
    fn end_block(&mut self) -> io::Result<()> {
        self.sink.write(&self.block)?;
        self.sums.extend(crc32fast::hash(&self.block).to_le_bytes());
        self.bytes += self.block.len() as u64;
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
    let summing = Summing { sink: &*sink, block: Vec::new(), sums: Vec::new(), bytes: 0 };
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
    sums.write(&summing.sums).and_then(|()| sums.sync()).map_err(Error::io(&sums_path))?;
    Ok(Segment { number, bytes: summing.bytes, sums: crc32fast::hash(&summing.sums) })
}

/// Remove a segment's files; best effort, since recovery removes what no manifest lists.
pub(crate) fn remove(files: &dyn Files, folder: &Path, number: u64) {
    let (path, sums) = paths(folder, number);
    let _ = files.remove(&path);
    let _ = files.remove(&sums);
}

/// Compare a segment with its checksums.
pub(crate) fn verify(files: &dyn Files, folder: &Path, segment: &Segment) -> Result<Bytes> {
    let (path, sums_path) = paths(folder, segment.number);
    let bytes = files.map(&path).map_err(Error::io(&path))?;
    check_length(&path, &bytes, segment)?;
    let sums = files.read(&sums_path).map_err(Error::io(&sums_path))?;
    let (sums, rest) = sums.as_chunks::<4>();
    if crc32fast::hash(sums.as_flattened()) != segment.sums || !rest.is_empty() {
        return Err(Error::corrupt(&sums_path, 0, "its checksum is wrong"));
    }
    let bad = bytes
        .par_chunks(BLOCK)
        .zip(sums)
        .position_first(|(block, sum)| crc32fast::hash(block) != u32::from_le_bytes(*sum));
    match bad {
        Some(block) => {
            Err(Error::corrupt(&path, block * BLOCK, "the checksum of a block is wrong"))
        }
        None if sums.len() == bytes.len().div_ceil(BLOCK) => Ok(bytes),
        None => Err(Error::corrupt(&sums_path, 0, "it is of another length")),
    }
}

fn check_length(path: &Path, bytes: &Bytes, segment: &Segment) -> Result<()> {
    if bytes.len() as u64 == segment.bytes {
        return Ok(());
    }
    let what = format!("it is {} bytes long instead of {}", bytes.len(), segment.bytes);
    Err(Error::corrupt(path, bytes.len(), what))
}

/// Map a segment; its columns are views of the file.
pub(crate) fn open(
    files: &dyn Files,
    folder: &Path,
    segment: &Segment,
    schema: &SchemaRef,
    check_sums: bool,
) -> Result<Vec<RecordBatch>> {
    let (path, _) = paths(folder, segment.number);
    let bytes = if check_sums {
        verify(files, folder, segment)?
    } else {
        let bytes = files.map(&path).map_err(Error::io(&path))?;
        check_length(&path, &bytes, segment)?;
        bytes
    };
    let damaged = |what: String| Error::corrupt(&path, 0, what);
    let batches = decode(bytes).map_err(damaged)?;
    match batches.iter().find(|batch| batch.schema().fields() != schema.fields()) {
        Some(_) => Err(damaged("its columns are not those of the store".into())),
        None => Ok(batches),
    }
}

/// Read what Arrow wrote. Its reader panics on some of what no writer writes (lengths beyond a
/// buffer), which only someone who made the checksums right can bring here: that is damage too.
pub(crate) fn guarded<T>(
    read: impl FnOnce() -> std::result::Result<T, String>,
) -> std::result::Result<T, String> {
    let read = std::panic::AssertUnwindSafe(read);
    std::panic::catch_unwind(read).unwrap_or_else(|_| Err("Arrow cannot read it".into()))
}

/// Read the batches of an Arrow IPC file in memory, without copying.
pub(crate) fn decode(bytes: Bytes) -> std::result::Result<Vec<RecordBatch>, String> {
    guarded(|| decode_sound(&bytes))
}

fn decode_sound(bytes: &Bytes) -> std::result::Result<Vec<RecordBatch>, String> {
    let text = |e: arrow_schema::ArrowError| e.to_string();
    let tail = *bytes.last_chunk::<10>().ok_or("it is shorter than a footer")?;
    let footer_length = read_footer_length(tail).map_err(text)?;
    let start = (bytes.len() - 10).checked_sub(footer_length).ok_or("its footer is cut off")?;
    let footer = root_as_footer(&bytes[start..bytes.len() - 10]).map_err(|e| e.to_string())?;
    let schema = fb_to_schema(footer.schema().ok_or("it has no schema")?);
    let blocks = |list: Option<flatbuffers::Vector<'_, Block>>| -> Vec<Block> {
        list.map(|blocks| blocks.iter().copied().collect()).unwrap_or_default()
    };
    let (dictionaries, records) = (blocks(footer.dictionaries()), blocks(footer.recordBatches()));
    let mut decoder = FileDecoder::new(Arc::new(schema), footer.version());
    let buffer = Buffer::from(bytes.slice(..start));
    let slice = |block: &Block| -> std::result::Result<Buffer, String> {
        let length = i64::from(block.metaDataLength()).checked_add(block.bodyLength());
        let range =
            usize::try_from(block.offset()).ok().zip(length.and_then(|l| usize::try_from(l).ok()));
        let (offset, length) = range.ok_or("a block has an impossible place")?;
        if offset.checked_add(length).is_none_or(|end| end > buffer.len()) {
            return Err("a block lies outside the file".into());
        }
        Ok(buffer.slice_with_length(offset, length))
    };
    for block in &dictionaries {
        decoder.read_dictionary(block, &slice(block)?).map_err(text)?;
    }
    let read = |block: &Block| {
        let batch = decoder.read_record_batch(block, &slice(block)?).map_err(text)?;
        batch.ok_or_else(|| "a block holds no rows".to_owned())
    };
    records.iter().map(read).collect()
}
