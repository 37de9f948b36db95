//! In a forked process parallel work is done, and nothing waits for threads that are not there.

use per_process::{PerProcess, spread};
use rayon::prelude::*;
use std::time::{Duration, Instant};

fn sum() -> u64 {
    spread(|| (0..100_000_u64).into_par_iter().sum())
}

/// What a function returns in a forked process; none if it did not end within a minute.
fn forked(work: impl FnOnce() -> bool) -> Option<bool> {
    // SAFETY: the child uses nothing that a thread of the parent may hold, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let right = work();
        // SAFETY: it ends this process, without any destructor of the parent's values.
        unsafe { libc::_exit(i32::from(!right)) };
    }
    let (begun, mut status) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(60) {
        // SAFETY: the child is ours, and `status` outlives the call.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
            return Some(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: the child is ours and has not been waited for.
    unsafe { libc::kill(child, libc::SIGKILL) };
    None
}

#[test]
fn a_forked_process_spreads_work_over_threads_of_its_own() {
    static VALUE: PerProcess<u32> = PerProcess::new();
    let right = sum();
    assert_eq!(std::process::id(), *VALUE.get(|_| std::process::id()));
    let child = || {
        let id = std::process::id();
        sum() == right && *VALUE.get(|_| id) == id && forked(|| sum() == right) == Some(true)
    };
    assert_eq!(Some(true), forked(child));
    assert_eq!(right, sum());
    assert_eq!(std::process::id(), *VALUE.get(|_| 0));
}
