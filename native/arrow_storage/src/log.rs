//! The write-ahead log: records with checksums, appended and synced.
//!
//! A record is its length, a checksum of length and place, a checksum of the content, the content.
//! A crash can leave the last record unfinished; that one was never acknowledged and is dropped.
//! Anything else that does not verify is damage. A log that was closed ends in two marks, so that
//! damage to its last record can be distinguished from a crash. While it is written, zeros may stand after
//! the last record: to write over them is faster than to lengthen the file.

use crate::files::{Files, Sink};
use crate::record::{HEAD, Record, content, frame};
use crate::{Error, Result};
use arrow_buffer::Buffer;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const MAGIC: &[u8; 8] = b"AIOSLOG1";
/// A closing mark: a record of one byte.
const MARK: usize = HEAD + 1;

/// What a log holds.
#[derive(Debug)]
pub(crate) struct Replay {
    pub records: Vec<Record>,
    /// Where the next record goes: after the last good one, closing marks aside.
    pub end: u64,
    /// Bytes of an unfinished record.
    pub dropped: u64,
}

/// Read all records of a log.
pub(crate) fn replay(path: &Path, bytes: &[u8]) -> Result<Replay> {
    if bytes.get(..MAGIC.len()) != Some(MAGIC) {
        return Err(Error::corrupt(path, 0, "it does not start as a log does"));
    }
    let (mut records, mut at, mut end, mut closed) = (Vec::new(), MAGIC.len(), MAGIC.len(), false);
    while let Some(content) = content(bytes, at) {
        let next = at + HEAD + content.len();
        let record = Record::decode(content).map_err(|what| Error::corrupt(path, at, what))?;
        closed = record == Record::Close;
        if !closed {
            records.push(record);
            end = next;
        }
        at = next;
    }
    let rest = bytes[at..].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let damaged = (closed && bytes.len() - at == MARK)
        || (at + 1..at + rest).any(|i| content(bytes, i).is_some());
    if damaged {
        return Err(Error::corrupt(path, at, "a record before the last does not verify"));
    }
    Ok(Replay { records, end: end as u64, dropped: rest as u64 })
}

/// Bytes that are worth a call of their own to be written without a copy.
const LARGE: usize = 32 << 10;

/// Bytes that the disk may begin with while the next are written.
const PIECE: usize = 1 << 20;

/// What a small record is, and the most zeros that are written ahead of such.
const LITTLE: u64 = 64 << 10;
const AHEAD: u64 = 1 << 20;

/// How long a sync may be put off.
const PAUSE: Duration = Duration::from_millis(100);

/// What is known to be on disk, and since when.
struct Synced {
    upto: u64,
    at: Instant,
}

/// A log that is being written.
pub(crate) struct Log {
    path: PathBuf,
    sink: Box<dyn Sink>,
    /// Bytes written; changed by the one writer only.
    written: AtomicU64,
    /// Bytes in the file, zeros at its end included.
    zeroed: AtomicU64,
    /// Bytes known to be on disk. Whoever holds this syncs for all that wrote before.
    synced: Mutex<Synced>,
    stopped: Mutex<Option<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    /// A new log; it is on disk once its folder is synced.
    pub fn create(files: &dyn Files, path: PathBuf) -> Result<Self> {
        let sink = files.create(&path).map_err(Error::io(&path))?;
        sink.write(MAGIC, 0).and_then(|()| sink.sync()).map_err(Error::io(&path))?;
        Ok(Self::new(path, sink, MAGIC.len() as u64))
    }

    /// Go on with a log after what its replay found good.
    pub fn resume(files: &dyn Files, path: PathBuf, end: u64) -> Result<Self> {
        let sink = files.append(&path, end).map_err(Error::io(&path))?;
        Ok(Self::new(path, sink, end))
    }

    fn new(path: PathBuf, sink: Box<dyn Sink>, end: u64) -> Self {
        let synced = Mutex::new(Synced { upto: end, at: Instant::now() });
        let (written, zeroed) = (AtomicU64::new(end), AtomicU64::new(end));
        Self { path, sink, written, zeroed, synced, stopped: Mutex::new(None) }
    }

    /// Bytes in the log.
    pub fn length(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Refuse everything from now on; what is on disk is not known any more.
    pub fn stop(&self, reason: &dyn std::fmt::Display) {
        locked(&self.stopped).get_or_insert_with(|| reason.to_string());
    }

    /// Whether writing can go on.
    pub fn check(&self) -> Result<()> {
        match &*locked(&self.stopped) {
            Some(reason) => Err(Error::Stopped { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn failed<T>(&self, source: io::Error) -> Result<T> {
        self.stop(&source);
        Err(Error::Io { path: self.path.clone(), source })
    }

    /// Write a record; returns what to pass to [`Log::commit`]. Only one thread may be in here.
    ///
    /// Where the write fails, as on a full disk, the log is stopped: part of the record may be in it.
    pub fn append(&self, record: &Record) -> Result<u64> {
        self.check()?;
        let at = self.length();
        let (pieces, length) = frame(record, at)?;
        if let Err(source) = self.write(&pieces, at) {
            return self.failed(source);
        }
        let end = at + length;
        self.written.store(end, Ordering::Release);
        if length < LITTLE && end > self.zeroed.load(Ordering::Relaxed) {
            // As many as there are bytes, for most logs stay short. Without them the next record
            // lengthens the file, so that a failure is none.
            let ahead = end.clamp(4 << 10, AHEAD);
            if self.sink.write(&vec![0; ahead as usize], end).is_ok() {
                self.zeroed.store(end + ahead, Ordering::Relaxed);
            }
        }
        Ok(end)
    }

    /// Write pieces in turn: small ones together, large ones from where they lie.
    fn write(&self, pieces: &[Buffer], mut at: u64) -> io::Result<()> {
        let mut put = |bytes: &[u8]| {
            self.sink.write(bytes, at)?;
            if bytes.len() >= LARGE {
                self.sink.start(at, bytes.len() as u64);
            }
            at += bytes.len() as u64;
            io::Result::Ok(())
        };
        let mut small = Vec::new();
        for piece in pieces {
            if piece.len() < LARGE {
                small.extend_from_slice(piece);
            } else {
                put(&small)?;
                small.clear();
                piece.chunks(PIECE).try_for_each(&mut put)?;
            }
        }
        put(&small)
    }

    /// Return once the log is on disk up to a place. Threads that come together share one sync.
    pub fn commit(&self, upto: u64) -> Result<()> {
        let mut synced = locked(&self.synced);
        if synced.upto >= upto {
            return Ok(());
        }
        self.check()?;
        let end = self.length();
        // After a failed sync the system may have dropped the pages, so a second try proves nothing.
        if let Err(source) = self.sink.sync() {
            return self.failed(source);
        }
        *synced = Synced { upto: end, at: Instant::now() };
        Ok(())
    }

    /// Commit unless that was done a short while ago.
    pub fn commit_sometimes(&self, upto: u64) -> Result<()> {
        let due = locked(&self.synced).at.elapsed() >= PAUSE;
        if due { self.commit(upto) } else { self.check() }
    }

    /// Mark a clean end.
    pub fn close(&self) -> Result<()> {
        self.append(&Record::Close)?;
        let end = self.append(&Record::Close)?;
        if let Err(source) = self.sink.cut(end) {
            return self.failed(source);
        }
        self.commit(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;
    use crate::open::beside_a_writer;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;

    fn batch(first: i64) -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 3));
        RecordBatch::try_from_iter([("id", ids)]).unwrap()
    }

    fn written(close: bool) -> (Vec<u8>, Vec<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(&Disk, folder.path().join("1.log")).unwrap();
        let mut ends = vec![log.length()];
        for i in 0..3 {
            ends.push(log.append(&Record::Put(batch(i))).unwrap());
        }
        if close {
            log.close().unwrap();
        }
        let mut bytes = std::fs::read(&log.path).unwrap();
        assert_eq!(close, bytes.len() as u64 == log.length());
        bytes.truncate(log.length() as usize);
        (bytes, ends)
    }

    #[test]
    fn a_log_cut_anywhere_keeps_every_whole_record() {
        let (bytes, ends) = written(false);
        for cut in MAGIC.len()..=bytes.len() {
            let found = replay(Path::new("log"), &bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|&&end| end <= cut as u64).count() - 1;
            assert_eq!(whole, found.records.len());
            let rest = &bytes[ends[whole] as usize..cut];
            let torn = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            assert_eq!((ends[whole], torn as u64), (found.end, found.dropped));
        }
        let ahead = replay(Path::new("log"), &[&bytes[..], &[0; 999]].concat()).unwrap();
        assert_eq!((ends[3], 0), (ahead.end, ahead.dropped));
    }

    #[test]
    fn a_flipped_byte_of_a_closed_log_is_always_an_error() {
        let (bytes, _) = written(true);
        assert_eq!(3, replay(Path::new("log"), &bytes).unwrap().records.len());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(
                matches!(replay(Path::new("log"), &damaged), Err(Error::Corrupt { .. })),
                "{at}"
            );
        }
    }

    /// Damage to a record that others follow is reported, although the log was not closed; the last one
    /// may be a write that a crash cut off.
    #[test]
    fn a_flipped_byte_of_a_log_that_was_not_closed_is_an_error_but_in_its_last_record() {
        let (bytes, ends) = written(false);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            for zeros in [0, 5000] {
                damaged.resize(bytes.len() + zeros, 0);
                match replay(Path::new("log"), &damaged) {
                    Err(Error::Corrupt { at: told, .. }) => {
                        let start = ends.iter().rev().find(|&&end| end <= at as u64);
                        assert_eq!(start.map_or(0, |&start| start), told, "{at}");
                        assert!((at as u64) < ends[2], "{at}");
                    }
                    Ok(found) => {
                        assert!(at as u64 >= ends[2], "{at}");
                        let rest = damaged.iter().rposition(|&byte| byte != 0).unwrap() + 1;
                        let dropped = rest as u64 - ends[2];
                        assert_eq!((2, ends[2]), (found.records.len(), found.end));
                        assert_eq!(dropped, found.dropped);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    /// Pieces on either side of what is copied together, and of what the disk begins with.
    #[test]
    fn records_of_any_size_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(&Disk, folder.path().join("1.log")).unwrap();
        let sizes = [1, 4000, 4096, 5000, 8191, 131_072, 131_073, 300_000, 2];
        for size in sizes {
            let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..size));
            let name: ArrayRef =
                Arc::new(arrow_array::StringArray::from_iter_values((0..size).map(|_| "n")));
            let batch = RecordBatch::try_from_iter([("id", ids), ("name", name)]).unwrap();
            log.append(&Record::Put(batch)).unwrap();
        }
        let bytes = std::fs::read(&log.path).unwrap();
        let found = replay(&log.path, &bytes).unwrap();
        assert_eq!((log.length(), 0), (found.end, found.dropped));
        let ids = |record: &Record| match record {
            Record::Put(batch) => {
                assert!(batch["name"].as_string::<i32>().iter().all(|name| name == Some("n")));
                batch["id"].as_primitive::<Int64Type>().values().to_vec()
            }
            other => panic!("{other:?}"),
        };
        for (size, record) in sizes.iter().zip(&found.records) {
            assert!((0..*size).eq(ids(record)), "{size}");
        }
        assert_eq!(sizes.len(), found.records.len());
    }

    #[test]
    fn a_record_that_comes_while_the_log_is_read_is_no_damage() {
        let (bytes, ends) = written(false);
        let mut early = bytes.clone();
        early[ends[1] as usize..ends[2] as usize].fill(0);
        let mut reads = [&early, &bytes].into_iter();
        let found = beside_a_writer(|| replay(Path::new("log"), reads.next().unwrap())).unwrap();
        assert_eq!(3, found.records.len());
        let mut tries = 0;
        let damaged = beside_a_writer(|| {
            tries += 1;
            replay(Path::new("log"), &early)
        });
        assert!(matches!(damaged, Err(Error::Corrupt { at, .. }) if at == ends[1]));
        assert_eq!(2, tries);
    }

    /// A sink in whose sync another thread writes.
    #[derive(Default)]
    struct Busy {
        log: std::sync::OnceLock<std::sync::Weak<Log>>,
        syncs: std::sync::atomic::AtomicUsize,
    }

    struct Shared(Arc<Busy>);

    impl Sink for Shared {
        fn write(&self, _: &[u8], _: u64) -> io::Result<()> {
            Ok(())
        }

        fn start(&self, _: u64, _: u64) {}

        fn cut(&self, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            if self.0.syncs.fetch_add(1, Ordering::Relaxed) == 0 {
                let log = self.0.log.get().unwrap().upgrade().unwrap();
                log.append(&Record::Put(batch(9))).unwrap();
            }
            Ok(())
        }
    }

    #[test]
    fn what_is_written_during_a_sync_is_synced_by_the_next() {
        let busy = Arc::new(Busy::default());
        let log = Arc::new(Log::new(
            "log".into(),
            Box::new(Shared(Arc::clone(&busy))),
            MAGIC.len() as u64,
        ));
        busy.log.set(Arc::downgrade(&log)).unwrap();
        let first = log.append(&Record::Put(batch(0))).unwrap();
        log.commit(first).unwrap();
        assert!(log.length() > first);
        log.commit(first).unwrap();
        assert_eq!(1, busy.syncs.load(Ordering::Relaxed));
        log.commit(log.length()).unwrap();
        assert_eq!(2, busy.syncs.load(Ordering::Relaxed));
    }

    #[test]
    fn a_last_record_of_zeros_is_a_torn_one() {
        let (mut bytes, ends) = written(false);
        bytes[ends[2] as usize..].fill(0);
        let found = replay(Path::new("log"), &bytes).unwrap();
        assert_eq!((2, ends[2], 0), (found.records.len(), found.end, found.dropped));
    }
}
