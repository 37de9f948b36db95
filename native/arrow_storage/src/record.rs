//! One record of the log, as bytes: its length, a checksum of length and place, a checksum of the
//! content, the content.

use crate::segment::guarded;
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;

/// Bytes before the content.
pub(crate) const HEAD: usize = 12;

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// Rows, replacing those of the same ids.
    Put(RecordBatch),
    /// Ids, as a batch of one column.
    Delete(RecordBatch),
    /// The end of a session.
    Close,
}

impl Record {
    /// The content, in pieces; large ones are the batch's own memory.
    fn encode(&self) -> Result<Vec<Buffer>> {
        let (kind, batch) = match self {
            Self::Put(batch) => (1u8, Some(batch)),
            Self::Delete(batch) => (2, Some(batch)),
            Self::Close => (3, None),
        };
        let mut pieces = vec![Buffer::from(vec![kind])];
        if let Some(batch) = batch {
            let mut encoder = StreamEncoder::try_new(&batch.schema())?;
            pieces.extend(encoder.encode(batch)?);
            pieces.extend(encoder.finish()?);
        }
        Ok(pieces)
    }

    pub fn decode(content: &[u8]) -> std::result::Result<Self, String> {
        let (kind, body) = content.split_first().ok_or("an empty record")?;
        if *kind == 3 {
            return Ok(Self::Close);
        }
        let batch = guarded(|| {
            // The reader of streams takes memory for as many bytes as a message says it has, before
            // it reads them; this one never takes more than there are.
            let rows = StreamDecoder::new().decode(&mut Buffer::from(body));
            rows.map_err(|e| e.to_string())?.ok_or_else(|| "a record without rows".into())
        })?;
        match kind {
            1 => Ok(Self::Put(batch)),
            2 => Ok(Self::Delete(batch)),
            kind => Err(format!("a record of unknown kind {kind}")),
        }
    }
}

fn head_sum(length: u32, at: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    hasher.finalize()
}

/// The length of a content of so many bytes.
fn length(size: usize) -> Result<u32> {
    u32::try_from(size).map_err(|_| {
        Error::Schema(format!("a batch of {size} bytes is too large; write it in parts"))
    })
}

/// A record as it will stand at a place in the file, in pieces; and its length.
pub(crate) fn frame(record: &Record, at: u64) -> Result<(Vec<Buffer>, u64)> {
    let mut pieces = record.encode()?;
    let size: usize = pieces.iter().map(Buffer::len).sum();
    let length = length(size)?;
    let mut sum = crc32fast::Hasher::new();
    pieces.iter().for_each(|piece| sum.update(piece));
    let head = [length, head_sum(length, at), sum.finalize()].map(u32::to_le_bytes);
    pieces.insert(0, Buffer::from(head.as_flattened()));
    Ok((pieces, (HEAD + size) as u64))
}

/// The content of the record at a place, if all of it is there and right.
pub(crate) fn content(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let head = bytes.get(at..)?.first_chunk::<HEAD>()?;
    let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
    // No record is empty; zeros must not be one, at whatever place.
    if word(0) == 0 || head_sum(word(0), at as u64) != word(4) {
        return None;
    }
    let content = bytes.get(at + HEAD..)?.get(..word(0) as usize)?;
    (crc32fast::hash(content) == word(8)).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_that_its_length_cannot_say_is_refused() {
        assert_eq!(u32::MAX, length(u32::MAX as usize).unwrap());
        assert!(matches!(length(u32::MAX as usize + 1), Err(Error::Schema(_))));
    }
}
