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

/// Made once in each process, and only a forked process learns that its parent had one.
#[test]
fn a_value_is_made_once_in_each_process() {
    static VALUE: PerProcess<u32> = PerProcess::new();
    static LATE: PerProcess<bool> = PerProcess::new();
    static MADE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let get = || {
        VALUE.get(|forked| {
            let place = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            10 * place + u32::from(forked)
        })
    };
    assert_eq!((0, 0), (*get(), *get()));
    let child = || (*get(), *get()) == (11, 11) && !*LATE.get(|forked| forked);
    assert_eq!(Some(true), forked(child));
    assert_eq!(0, *get());
    assert!(std::ptr::eq(get(), get()));
    assert!(!*LATE.get(|forked| forked));
}

#[test]
fn threads_that_come_first_together_get_the_same_value() {
    for _ in 0..20 {
        let value: &'static PerProcess<u64> = Box::leak(Box::new(PerProcess::new()));
        let gate = std::sync::Barrier::new(4);
        let found: Vec<usize> = std::thread::scope(|scope| {
            let first = |i: u64| {
                let gate = &gate;
                scope.spawn(move || {
                    std::ptr::from_ref(value.get(|_| {
                        // Nobody goes on before all have begun to make one.
                        gate.wait();
                        i
                    })) as usize
                })
            };
            let threads: Vec<_> = (0..4).map(first).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.iter().all(|place| *place == found[0]), "{found:?}");
    }
}
