//! One writer at a time, by a lock that the operating system drops when its process dies.

use crate::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Held while a store is open for writing, by the process that took it.
///
/// A forked process gets a copy of the file's descriptor, and the system keeps the lock until the
/// last copy is closed, or one of them unlocks. So the owner unlocks, which counts whatever copies
/// there are, and a copy is only closed.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    process: u32,
    file: Mutex<Option<File>>,
}

impl Lock {
    /// Take the lock of a folder, or say that it is taken.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("LOCK");
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, process: std::process::id(), file: Mutex::new(Some(file)) }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path }),
            Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
        }
    }

    /// Whether this process took it.
    pub fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    /// In a forked process: close the copy, so that the lock ends with the process that took it.
    pub fn let_go(&self) {
        if !self.is_ours()
            && let Ok(mut file) = self.file.try_lock()
        {
            drop(file.take());
        }
    }

    /// Refuse in a forked process, and where the file has been removed, and its folder with it.
    pub fn check(&self) -> Result<()> {
        if !self.is_ours() {
            return Err(Error::Forked { process: self.process });
        }
        #[cfg(unix)]
        if let Ok(file) = self.file.lock()
            && let Some(file) = &*file
            && std::os::unix::fs::MetadataExt::nlink(
                &file.metadata().map_err(Error::io(&self.path))?,
            ) == 0
        {
            return Err(Error::Removed { path: self.path.clone() });
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_ours()
            && let Ok(mut file) = self.file.lock()
            && let Some(file) = file.take()
        {
            let _ = file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_unlocks_whatever_copies_of_the_descriptor_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let copy = lock.file.lock().unwrap().as_ref().unwrap().try_clone().unwrap();
        assert!(matches!(Lock::take(folder.path()), Err(Error::Locked { .. })));
        drop(lock);
        drop(Lock::take(folder.path()).unwrap());
        drop(copy);
    }

    #[test]
    fn a_copy_of_another_process_is_closed_and_unlocks_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let copy = lock.file.lock().unwrap().as_ref().unwrap().try_clone().unwrap();
        let theirs = Lock {
            path: lock.path.clone(),
            process: lock.process + 1,
            file: Mutex::new(Some(copy)),
        };
        assert!(matches!(theirs.check(), Err(Error::Forked { .. })));
        theirs.let_go();
        drop(theirs);
        assert!(matches!(Lock::take(folder.path()), Err(Error::Locked { .. })));
        lock.check().unwrap();
    }

    #[test]
    fn a_removed_folder_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        lock.check().unwrap();
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert!(matches!(lock.check(), Err(Error::Removed { .. })));
    }
}
