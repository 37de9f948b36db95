//! A mapped file whose blocks are compared with their checksums when they are first touched.

use crate::files::Files;
use crate::{Error, Result};
use arrow_buffer::Buffer;
use per_process::spread;
use rayon::prelude::*;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes that share a checksum.
pub(crate) const BLOCK: usize = 64 << 10;

/// The file, its checksums, and which blocks have been compared.
#[derive(Debug)]
pub(crate) struct Blocks {
    path: PathBuf,
    bytes: Buffer,
    sums: Vec<u32>,
    /// One bit a block.
    seen: Box<[AtomicU64]>,
}

impl Blocks {
    /// Map a file of a known length. Only the checksums are read, and compared with their own.
    pub fn open(
        files: &dyn Files,
        (path, sums_path): (&Path, &Path),
        (length, sum): (u64, u32),
    ) -> Result<Self> {
        let bytes = files.map(path).map_err(Error::io(path))?;
        if bytes.len() as u64 != length {
            let what = format!("it is {} bytes long instead of {length}", bytes.len());
            return Err(Error::corrupt(path, bytes.len(), what));
        }
        let sums = files.read(sums_path).map_err(Error::io(sums_path))?;
        if crc32fast::hash(&sums) != sum {
            return Err(Error::corrupt(sums_path, 0, "its checksum is wrong"));
        }
        let (sums, rest) = sums.as_chunks::<4>();
        if !rest.is_empty() || sums.len() != bytes.len().div_ceil(BLOCK) {
            return Err(Error::corrupt(sums_path, 0, "it is of another length"));
        }
        let sums = sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        Ok(Self::new(path, bytes.into(), sums))
    }

    fn new(path: &Path, bytes: Buffer, sums: Vec<u32>) -> Self {
        let seen = (0..bytes.len().div_ceil(BLOCK * 64)).map(|_| AtomicU64::new(0)).collect();
        Self { path: path.to_owned(), bytes, sums, seen }
    }

    /// Bytes that are right whatever they are: nothing is compared.
    pub fn trusted(path: &Path, bytes: Buffer) -> Self {
        let blocks = Self::new(path, bytes, Vec::new());
        blocks.seen.iter().for_each(|word| word.store(u64::MAX, Relaxed));
        blocks
    }

    /// All bytes; pass a range of them to [`Blocks::check`] before use.
    pub fn bytes(&self) -> &Buffer {
        &self.bytes
    }

    /// An error at a place of the file.
    pub fn damaged(&self, at: usize, what: impl Into<String>) -> Error {
        Error::corrupt(&self.path, at, what)
    }

    fn seen(&self, block: usize) -> bool {
        self.seen.get(block / 64).is_none_or(|word| word.load(Relaxed) >> (block % 64) & 1 == 1)
    }

    /// Whether a block is as it was written.
    fn right(&self, block: usize) -> bool {
        let bytes = &self.bytes[block * BLOCK..self.bytes.len().min((block + 1) * BLOCK)];
        let right = self.sums.get(block) == Some(&crc32fast::hash(bytes));
        if right {
            self.seen[block / 64].fetch_or(1 << (block % 64), Relaxed);
        }
        right
    }

    /// Compare what has not been compared yet of the blocks under a range.
    pub fn check(&self, range: Range<usize>) -> Result<()> {
        let range = range.start.min(self.bytes.len())..range.end.min(self.bytes.len());
        if range.is_empty() {
            return Ok(());
        }
        let blocks = range.start / BLOCK..range.end.div_ceil(BLOCK);
        let new: Vec<usize> = blocks.filter(|&block| !self.seen(block)).collect();
        let bad = if new.len() < 8 {
            new.iter().find(|&&block| !self.right(block))
        } else {
            spread(|| new.par_iter().find_first(|&&block| !self.right(block)))
        };
        match bad {
            Some(block) => Err(self.damaged(block * BLOCK, "the checksum of a block is wrong")),
            None => Ok(()),
        }
    }
}
