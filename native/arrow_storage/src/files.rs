//! The file system as the store uses it, so that tests can make it fail.

use crate::{Error, Result};
use bytes::Bytes;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// A file that is being written, by one thread or several.
pub trait Sink: Send + Sync {
    /// Write all bytes from a place in the file on.
    ///
    /// # Errors
    /// If some could not be written; how many were is not known then.
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Let the disk begin with a range that was written, and do not wait for it.
    fn start(&self, at: u64, length: u64);

    /// Cut the file to a length.
    ///
    /// # Errors
    /// As the file system does.
    fn cut(&self, length: u64) -> io::Result<()>;

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

/// Replace a file as a whole: once this returns, it is on disk with all files made in its folder
/// before it. What fails leaves the file as it was.
pub(crate) fn replace<T>(
    files: &dyn Files,
    path: &Path,
    write: impl FnOnce(&dyn Sink) -> Result<T>,
) -> Result<T> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = Path::new(&name);
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = files.create(temporary).map_err(Error::io(temporary))?;
    let written = write(&*file).and_then(|done| {
        file.sync().map_err(Error::io(temporary))?;
        // The names of files made before must be there before the one that may list them.
        files.sync_folder(folder).map_err(Error::io(path))?;
        files.rename(temporary, path).map_err(Error::io(path))?;
        Ok(done)
    });
    drop(file);
    match written {
        Ok(done) => files.sync_folder(folder).map_err(Error::io(path)).map(|()| done),
        Err(error) => {
            let _ = files.remove(temporary);
            Err(error)
        }
    }
}

/// A sink that is written from its start on.
pub(crate) struct Writing<'a> {
    sink: &'a dyn Sink,
    at: u64,
}

impl<'a> Writing<'a> {
    pub fn new(sink: &'a dyn Sink) -> Self {
        Self { sink, at: 0 }
    }
}

impl io::Write for Writing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The real thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Sink for File {
    #[cfg(unix)]
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, at)
    }

    #[cfg(not(unix))]
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        use std::io::{Seek, Write};
        // A file has one writer, so that nobody moves its place meanwhile.
        let mut file = self;
        file.seek(io::SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    #[cfg(target_os = "linux")]
    fn start(&self, at: u64, length: u64) {
        use std::os::fd::AsRawFd;
        let (Ok(at), Ok(length)) = (i64::try_from(at), i64::try_from(length)) else { return };
        // SAFETY: the descriptor is open, and no memory is passed. It promises nothing, and `sync`
        // comes later in any case, so a failure is none.
        unsafe {
            libc::sync_file_range(self.as_raw_fd(), at, length, libc::SYNC_FILE_RANGE_WRITE);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn start(&self, _: u64, _: u64) {}

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
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
        let file = OpenOptions::new().write(true).open(path)?;
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    // Neither can be synced, so that whoever does not try finds no error.
    #[test]
    fn files_and_folders_are_synced() {
        let file = OpenOptions::new().write(true).open("/dev/null").unwrap();
        Sink::write(&file, b"gone", 0).unwrap();
        assert_eq!(io::ErrorKind::InvalidInput, Sink::sync(&file).unwrap_err().kind());
        let folder = Disk.sync_folder(Path::new("/proc/self")).unwrap_err();
        assert_eq!(io::ErrorKind::InvalidInput, folder.kind());
    }
}
