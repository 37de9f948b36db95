#![doc = include_str!("../README.md")]

use bytes::Bytes;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// What the file system said about a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct Failure {
    /// The file or folder.
    pub path: PathBuf,
    /// What it said.
    pub source: io::Error,
}

impl Failure {
    /// Name the file that an operation was about.
    fn of(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), source }
    }
}

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

/// What a format asks of a file system.
#[allow(clippy::missing_errors_doc, reason = "all fail as the file system does")]
pub trait Files: Send + Sync {
    /// A new, empty file; one of that name is replaced.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>>;
    /// An existing file, cut to a length, to be written on from there.
    fn append(&self, path: &Path, length: u64) -> io::Result<Box<dyn Sink>>;
    /// The whole content, copied.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The whole content, mapped. A format maps only files that it never changes in place; it may
    /// replace and remove them, which leaves a map intact.
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
///
/// # Errors
///
/// If `write` or the file system fails.
pub fn replace<T, E: From<Failure>>(
    files: &dyn Files,
    path: &Path,
    write: impl FnOnce(&dyn Sink) -> Result<T, E>,
) -> Result<T, E> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = Path::new(&name);
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = files.create(temporary).map_err(Failure::of(temporary))?;
    let written = write(&*file).and_then(|done| {
        file.sync().map_err(Failure::of(temporary))?;
        // The names of files made before must be there before the one that may list them.
        files.sync_folder(folder).map_err(Failure::of(path))?;
        files.rename(temporary, path).map_err(Failure::of(path))?;
        Ok(done)
    });
    drop(file);
    match written {
        Ok(done) => {
            files.sync_folder(folder).map_err(Failure::of(path))?;
            Ok(done)
        }
        Err(error) => {
            let _ = files.remove(temporary);
            Err(error)
        }
    }
}

/// A sink that is written from its start on.
pub struct Writing<'a> {
    sink: &'a dyn Sink,
    at: u64,
}

impl<'a> Writing<'a> {
    /// A sink of which nothing is written yet.
    #[must_use]
    pub fn new(sink: &'a dyn Sink) -> Self {
        Self { sink, at: 0 }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
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
        // SAFETY: the file is open and not empty. Nobody changes it in place while it is mapped,
        // which `Files::map` demands of formats, and formats of whoever uses their files.
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
    use std::sync::{Arc, Mutex};

    // Neither can be synced, so that whoever does not try finds no error.
    #[test]
    fn files_and_folders_are_synced() {
        let file = OpenOptions::new().write(true).open("/dev/null").unwrap();
        Sink::write(&file, b"gone", 0).unwrap();
        assert_eq!(io::ErrorKind::InvalidInput, Sink::sync(&file).unwrap_err().kind());
        let folder = Disk.sync_folder(Path::new("/proc/self")).unwrap_err();
        assert_eq!(io::ErrorKind::InvalidInput, folder.kind());
    }

    /// Passes everything on to the disk, and notes what each sync finds there.
    struct Watch<'a> {
        path: &'a Path,
        seen: Arc<Mutex<Vec<Seen>>>,
        fails: bool,
    }

    /// What is synced, the content of the watched file, and the names beside it.
    type Seen = (&'static str, String, Vec<String>);

    struct Watched {
        sink: Box<dyn Sink>,
        note: Box<dyn Fn() + Send + Sync>,
        fails: bool,
    }

    impl Sink for Watched {
        fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
            self.sink.write(bytes, at)
        }
        fn start(&self, at: u64, length: u64) {
            self.sink.start(at, length);
        }
        fn cut(&self, length: u64) -> io::Result<()> {
            self.sink.cut(length)
        }
        fn sync(&self) -> io::Result<()> {
            (self.note)();
            if self.fails { Err(io::Error::other("the disk is full")) } else { self.sink.sync() }
        }
    }

    fn look(path: &Path, what: &'static str) -> Seen {
        let mut names = Disk.list(path.parent().unwrap()).unwrap();
        names.sort();
        (what, fs::read_to_string(path).unwrap(), names)
    }

    impl Files for Watch<'_> {
        fn create(&self, path: &Path) -> io::Result<Box<dyn Sink>> {
            let (seen, watched) = (Arc::clone(&self.seen), self.path.to_owned());
            let note = move || seen.lock().unwrap().push(look(&watched, "file"));
            let sink = Disk.create(path)?;
            Ok(Box::new(Watched { sink, note: Box::new(note), fails: self.fails }))
        }
        fn append(&self, path: &Path, length: u64) -> io::Result<Box<dyn Sink>> {
            Disk.append(path, length)
        }
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            Disk.read(path)
        }
        fn map(&self, path: &Path) -> io::Result<Bytes> {
            Disk.map(path)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            Disk.rename(from, to)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            Disk.remove(path)
        }
        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            self.seen.lock().unwrap().push(look(self.path, "folder"));
            Disk.sync_folder(path)
        }
        fn list(&self, path: &Path) -> io::Result<Vec<String>> {
            Disk.list(path)
        }
    }

    /// The file under a temporary name, then the folder in which it has its own.
    #[test]
    fn what_is_written_is_on_disk_before_it_replaces_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph");
        fs::write(&path, b"old").unwrap();
        let mut files = Watch { path: &path, seen: Arc::default(), fails: false };
        let write = |content: &'static [u8]| {
            move |sink: &dyn Sink| sink.write(content, 0).map_err(Failure::of(Path::new("graph")))
        };
        replace(&files, &path, write(b"newer")).unwrap();

        let seen = std::mem::take(&mut *files.seen.lock().unwrap());
        let both = || vec!["graph".to_owned(), "graph.new".to_owned()];
        let expected = [
            ("file", "old".to_owned(), both()),
            ("folder", "old".to_owned(), both()),
            ("folder", "newer".to_owned(), vec!["graph".to_owned()]),
        ];
        assert_eq!(expected, seen[..]);

        files.fails = true;
        let failure = replace(&files, &path, write(b"newest")).unwrap_err();
        assert!(failure.to_string().ends_with("graph.new: the disk is full"));
        assert_eq!(("", "newer".to_owned(), vec!["graph".to_owned()]), look(&path, ""));
    }
}
