//! Pools of threads, by size.

use crate::Result;
use per_process::PerProcess;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

/// How many threads a number asks for: 0 is one for each core.
pub(crate) fn threads(asked: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if asked == 0 { cores } else { asked.min(4 * cores) }
}

/// Do all the items with this many threads, of which the caller is one.
///
/// It begins at once, while those of the pool wake up, and leaves them no more than they get to.
pub(crate) fn each<T: Send>(
    threads: usize,
    items: Vec<T>,
    work: impl Fn(T) -> Result<()> + Send + Sync,
) -> Result<()> {
    let others = threads.min(items.len()).saturating_sub(1);
    let Some(pool) = (others > 0).then(|| pool(threads - 1)).flatten() else {
        return items.into_iter().try_for_each(work);
    };
    let (items, failed) = (Mutex::new(items.into_iter()), Mutex::new(None));
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let some = || {
        while let Some(item) = next() {
            if let Err(error) = work(item) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    pool.in_place_scope(|scope| {
        for _ in 0..others {
            scope.spawn(|_| some());
        }
        some();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Do work whose parallel parts have this many threads.
pub(crate) fn install<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    match pool(threads) {
        Some(pool) => pool.install(work),
        // The machine gives no more threads: those of the global pool do it.
        None => per_process::spread(work),
    }
}

/// Pools are kept, since starting one takes longer than a product does. A forked child makes its
/// own, for threads do not survive a fork.
fn pool(threads: usize) -> Option<Arc<ThreadPool>> {
    type Pools = Mutex<HashMap<usize, Arc<ThreadPool>>>;
    static POOLS: PerProcess<Pools> = PerProcess::new();
    let pools = POOLS.get(|_| Pools::default());
    let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
    match pools.entry(threads) {
        Entry::Occupied(pool) => Some(Arc::clone(pool.get())),
        Entry::Vacant(place) => {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().ok()?;
            Some(Arc::clone(place.insert(Arc::new(pool))))
        }
    }
}
