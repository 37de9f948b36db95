//! The file system as the store uses it, so that tests can make it fail.

use bytes::Bytes;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A file that is being written, by one thread or several.
pub trait Sink: Send + Sync {
    /// Append all bytes.
    ///
    /// # Errors
    /// If some could not be written; how many were is not known then.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;

    /// Return once everything written is on disk.
    ///
    /// # Errors
    /// If the disk failed; what is on it is not known then.
    fn sync(&self) -> io::Result<()>;
}

/// What a store asks of a file system.
#[allow(clippy::missing_errors_doc, reason = "all fail as the file system does")]
pub trait Files: Send + Sync {
    /// A new, empty file; one of that name is replaced.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>>;
    /// An existing file, cut to a length, to be written on from there.
    fn append(&self, path: &Path, length: u64) -> io::Result<Box<dyn Sink>>;
    /// The whole content, copied.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The whole content, mapped; the file is never changed once it has its name in a manifest.
    fn map(&self, path: &Path) -> io::Result<Bytes>;
    /// Give a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Remove a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Return once the names in a folder are on disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// The real thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Sink for File {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Files for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(File::create(path)?))
    }

    fn append(&self, path: &Path, length: u64) -> io::Result<Box<dyn Sink>> {
        let file = OpenOptions::new().append(true).open(path)?;
        if file.metadata()?.len() != length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        Ok(Box::new(file))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn map(&self, path: &Path) -> io::Result<Bytes> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Bytes::new());
        }
        // SAFETY: segments are immutable: the store only ever creates them under new names and
        // unlinks them, which leaves a map intact. Changing one in place from outside is excluded
        // by the store's documentation, as for every memory-mapped format.
        let map = unsafe { memmap2::Mmap::map(&file) }?;
        Ok(Bytes::from_owner(map))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        // Windows cannot open a folder, and orders renames itself.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(path)?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
    }
}
