#![doc = include_str!("../README.md")]

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that each process makes for itself, at its first use there.
///
/// It takes no lock, since a lock may be held at the moment of a fork. A parent's value is never
/// dropped in the child: that would join threads that are not there.
pub struct PerProcess<T>(AtomicPtr<Made<T>>);

struct Made<T> {
    process: u32,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    /// One that nobody has made yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value of this process; `make` gets whether there was one of a parent.
    ///
    /// Where several threads come first together, each makes one, and all get the same.
    pub fn get(&'static self, make: impl FnOnce(bool) -> T) -> &'static T {
        let process = std::process::id();
        let before = self.0.load(Ordering::Acquire);
        // SAFETY: the pointer is null, or was stored by the exchange below and came from
        // `Box::into_raw`; what was stored is never freed, and only shared references are made of
        // it.
        let inherited = unsafe { before.as_ref() };
        if let Some(made) = inherited.filter(|made| made.process == process) {
            return &made.value;
        }
        let value = make(inherited.is_some());
        let made = Box::into_raw(Box::new(Made { process, value }));
        let order = Ordering::AcqRel;
        match self.0.compare_exchange(before, made, order, Ordering::Acquire) {
            // SAFETY: `made` came from `Box::into_raw` just now, and is stored, so never freed.
            Ok(_) => unsafe { &(*made).value },
            Err(first) => {
                // SAFETY: `made` came from `Box::into_raw` just now, and the exchange failed, so
                // nobody else has it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: `first` is not `before`, so a thread of this process stored it (only
                // threads of one process share this memory) from `Box::into_raw`, and what is
                // stored is never freed.
                unsafe { &(*first).value }
            }
        }
    }
}

impl<T: Send + Sync> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Do work whose parallel parts run in the calling rayon pool; in a forked process, where the global
/// pool has no threads, in a pool of its own.
///
/// Whatever uses the global pool goes through here, so that the first process is known.
pub fn spread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    /// None is the global pool, of the process that used it first.
    static POOL: PerProcess<Option<ThreadPool>> = PerProcess::new();
    let pool = POOL.get(|forked| forked.then(|| ThreadPoolBuilder::new().build().ok()).flatten());
    match pool {
        Some(pool) if rayon::current_thread_index().is_none() => pool.install(work),
        _ => work(),
    }
}
