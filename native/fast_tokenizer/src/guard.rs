//! Keeps the reference's panics from ending the process.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::{Error, Result};

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Calls the reference; its panics are errors.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // What is caught need not be reported as a crash.
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                others(panic);
            }
        }));
    });
    let before = CAUGHT.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let cause = text.unwrap_or("unknown");
        Error::entry("tokenizer", format!("the tokenizers crate gave up: {cause}"))
    })
}
