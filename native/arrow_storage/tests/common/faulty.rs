//! A file system that fails, and forgets what was not synced when the power goes.

use arrow_storage::files::{Disk, Files, Sink};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// That one write, after half of its bytes: a disk that was full for a moment.
    Full,
    /// That one sync.
    Sync,
    /// Everything from there on: the power is gone.
    Power,
}

#[derive(Default)]
struct Memory {
    /// Operations until the fault.
    left: Option<(usize, Fault)>,
    dead: bool,
    /// For each file the part from its start that is on disk for certain, and its length.
    lengths: BTreeMap<PathBuf, (u64, u64)>,
    /// Names made since the folder was synced, and what a rename replaced, latest last.
    made: Vec<PathBuf>,
    renamed: Vec<(PathBuf, PathBuf, Option<Vec<u8>>)>,
}

#[derive(Clone, Default)]
pub struct Faulty(Arc<Mutex<Memory>>);

struct Tracked {
    path: PathBuf,
    sink: Box<dyn Sink>,
    files: Faulty,
}

fn power() -> io::Error {
    io::Error::other("no power")
}

impl Faulty {
    pub fn failing(after: usize, fault: Fault) -> Self {
        let files = Self::default();
        files.0.lock().unwrap().left = Some((after, fault));
        files
    }

    /// Whether the fault has come.
    pub fn failed(&self) -> bool {
        self.0.lock().unwrap().left.is_none()
    }

    /// Count an operation; whether it is the one to fail.
    fn step(&self, kind: Fault) -> io::Result<bool> {
        let mut memory = self.0.lock().unwrap();
        if memory.dead {
            return Err(power());
        }
        match &mut memory.left {
            Some((0, fault)) if *fault == kind || *fault == Fault::Power => {
                memory.dead = *fault == Fault::Power;
                memory.left = None;
                Ok(true)
            }
            Some((n, _)) => {
                *n = n.saturating_sub(1);
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Leave on the real disk one of the states it may be in: `seed` decides how much of what was
    /// not synced is there, as zeros or as written, and which names are.
    pub fn lose_power(&self, seed: u64) {
        let memory = self.0.lock().unwrap();
        for (path, &(synced, written)) in &memory.lengths {
            let Ok(mut bytes) = fs::read(path) else { continue };
            let keep = synced + seed % (written - synced + 1);
            bytes.truncate(keep as usize);
            if seed.is_multiple_of(3) {
                bytes[synced as usize..].fill(0);
            }
            fs::write(path, bytes).unwrap();
        }
        if seed.is_multiple_of(2) {
            for (from, to, before) in memory.renamed.iter().rev() {
                fs::rename(to, from).unwrap();
                if let Some(before) = before {
                    fs::write(to, before).unwrap();
                }
            }
        }
        // Names that no sync of the folder has put there, also where a later rename is.
        if seed.is_multiple_of(2) || seed % 4 == 1 {
            for path in &memory.made {
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Sink for Tracked {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let fails = self.files.step(Fault::Full)?;
        let bytes = if fails { &bytes[..bytes.len() / 2] } else { bytes };
        self.sink.write(bytes, at)?;
        let mut memory = self.files.0.lock().unwrap();
        let (synced, written) = memory.lengths.get_mut(&self.path).unwrap();
        *synced = at.min(*synced);
        *written = (at + bytes.len() as u64).max(*written);
        if fails { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn start(&self, _: u64, _: u64) {}

    fn cut(&self, length: u64) -> io::Result<()> {
        self.files.step(Fault::Power)?;
        self.sink.cut(length)?;
        let mut memory = self.files.0.lock().unwrap();
        let (synced, written) = memory.lengths.get_mut(&self.path).unwrap();
        (*synced, *written) = (length.min(*synced), length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.files.step(Fault::Sync)? {
            return Err(io::Error::other("the disk failed"));
        }
        let mut memory = self.files.0.lock().unwrap();
        if let Some((synced, written)) = memory.lengths.get_mut(&self.path) {
            *synced = *written;
        }
        Ok(())
    }
}

impl Faulty {
    fn track(&self, path: &Path, length: u64, sink: Box<dyn Sink>) -> Box<dyn Sink> {
        self.0.lock().unwrap().lengths.insert(path.to_owned(), (length, length));
        Box::new(Tracked { path: path.to_owned(), sink, files: self.clone() })
    }
}

impl Files for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        if self.step(Fault::Full)? {
            return Err(ErrorKind::StorageFull.into());
        }
        let sink = Disk.create(path)?;
        self.0.lock().unwrap().made.push(path.to_owned());
        Ok(self.track(path, 0, sink))
    }

    fn append(&self, path: &Path, length: u64) -> io::Result<Box<dyn Sink>> {
        self.step(Fault::Power)?;
        Ok(self.track(path, length, Disk.append(path, length)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk.read(path)
    }

    fn map(&self, path: &Path) -> io::Result<Bytes> {
        Disk.map(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.step(Fault::Power)? {
            return Err(power());
        }
        let before = fs::read(to).ok();
        Disk.rename(from, to)?;
        let mut memory = self.0.lock().unwrap();
        let length = memory.lengths.remove(from).unwrap_or_default();
        memory.lengths.insert(to.to_owned(), length);
        memory.made.retain(|path| path != from);
        memory.renamed.push((from.to_owned(), to.to_owned(), before));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.step(Fault::Power)? {
            return Err(power());
        }
        self.0.lock().unwrap().lengths.remove(path);
        Disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if self.step(Fault::Sync)? {
            return Err(io::Error::other("the disk failed"));
        }
        let mut memory = self.0.lock().unwrap();
        memory.made.clear();
        memory.renamed.clear();
        Disk.sync_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Disk.list(path)
    }
}
