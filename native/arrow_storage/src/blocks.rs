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

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of these bytes as they were written, and the bytes that are there now.
    fn blocks(written: &[u8], now: &[u8]) -> Blocks {
        let sums = written.chunks(64 << 10).map(crc32fast::hash).collect();
        Blocks::new(Path::new("segment"), Buffer::from(now), sums)
    }

    /// More blocks than a word has bits, the last one shorter.
    #[test]
    fn a_range_is_right_where_none_of_its_blocks_is_damaged_and_again() {
        const SIZE: usize = 64 << 10;
        let written: Vec<u8> = (0..70 * SIZE + 99).map(|i| (i / 7 + i / SIZE) as u8).collect();
        let ranges = [
            0..written.len(),
            0..1,
            SIZE - 1..SIZE,
            SIZE..SIZE + 1,
            3 * SIZE - 1..3 * SIZE + 1,
            2 * SIZE..40 * SIZE,
            63 * SIZE..64 * SIZE,
            64 * SIZE..64 * SIZE + 5,
            69 * SIZE + 7..written.len(),
            70 * SIZE..written.len() + 999,
            written.len()..written.len() + 9,
            5..5,
        ];
        blocks(&written, &written).check(0..usize::MAX).unwrap();
        for damaged in [0, SIZE - 1, 2 * SIZE, 40 * SIZE - 1, 64 * SIZE + 3, 70 * SIZE + 98] {
            let mut now = written.clone();
            now[damaged] ^= 0x20;
            let blocks = blocks(&written, &now);
            let end = written.len().min((damaged / SIZE + 1) * SIZE);
            let block = damaged / SIZE * SIZE..end;
            for range in ranges.iter().chain(&ranges) {
                let hit = range.start < block.end && block.start < range.end && !range.is_empty();
                match blocks.check(range.clone()) {
                    Ok(()) => assert!(!hit, "{damaged} {range:?}"),
                    Err(Error::Corrupt { at, .. }) => {
                        assert_eq!((true, block.start as u64), (hit, at), "{damaged} {range:?}");
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            Blocks::trusted(Path::new("segment"), Buffer::from(&now[..]))
                .check(0..usize::MAX)
                .unwrap();
        }
        // The first of several.
        let mut now = written.clone();
        (now[9 * SIZE], now[33 * SIZE]) = (!now[9 * SIZE], !now[33 * SIZE]);
        for range in [0..written.len(), 9 * SIZE..33 * SIZE + 1] {
            let told = blocks(&written, &now).check(range);
            assert!(matches!(told, Err(Error::Corrupt { at, .. }) if at == 9 * SIZE as u64));
        }
    }

    #[test]
    fn files_of_other_lengths_or_checksums_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, sums) = (folder.path().join("1.arrow"), folder.path().join("1.sums"));
        let bytes = vec![7; 2 * BLOCK + 1];
        let right: Vec<u8> =
            bytes.chunks(BLOCK).flat_map(|block| crc32fast::hash(block).to_le_bytes()).collect();
        let open = |content: &[u8], listed: &[u8], length: usize, sum: u32| {
            std::fs::write(&path, content).unwrap();
            std::fs::write(&sums, listed).unwrap();
            let opened = Blocks::open(&crate::files::Disk, (&path, &sums), (length as u64, sum));
            opened.and_then(|blocks| blocks.check(0..length)).is_ok()
        };
        let sum = crc32fast::hash(&right);
        assert!(open(&bytes, &right, bytes.len(), sum));
        assert!(!open(&bytes, &right, bytes.len() - 1, sum));
        assert!(!open(&bytes[1..], &right, bytes.len(), sum));
        assert!(!open(&bytes, &right, bytes.len(), sum ^ 1));
        for listed in [&right[..8], &[&right[..], &[0; 4]].concat(), &right[..11]] {
            assert!(!open(&bytes, listed, bytes.len(), crc32fast::hash(listed)));
        }
        let mut other = right.clone();
        other[4] ^= 1;
        assert!(!open(&bytes, &other, bytes.len(), crc32fast::hash(&other)));
    }
}
