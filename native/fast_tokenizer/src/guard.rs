//! Keeps hostile files from hanging or ending the process where the reference would.
//!
//! The reference matches with Oniguruma, which backtracks: `(a+)+$` takes time exponential in a
//! text's length. Its searches are bounded here, for the whole process; one that needs more makes
//! the reference panic, and the panic is caught. Patterns that fail on short texts are refused
//! before any text comes.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use onig::{MatchParam, Regex, SearchOptions, Syntax};
use serde_json::Value;

use crate::{Error, Result};

/// Steps back that one search may take, about a quarter of a second. What is linear takes one or
/// two for each character of a run.
const SEARCH: std::ffi::c_ulong = 1 << 24;
/// Steps back that one search of a probe may take: more than the cube of its length.
const PROBE: u32 = 1 << 17;
/// Repetitions in a probe.
const REPEATED: usize = 40;
/// Longest pattern that is compiled, in bytes; published ones are below a twentieth of it.
const LONGEST: usize = 1 << 14;

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Calls the reference; its panics are errors that name `entry`.
pub(crate) fn guarded<T>(entry: &str, work: impl FnOnce() -> T) -> Result<T> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: both only store a number, and nothing of this crate has searched before.
        unsafe {
            onig_sys::onig_set_retry_limit_in_search(SEARCH);
            onig_sys::onig_set_retry_limit_in_match(SEARCH);
        }
        // What is caught need not be told as a crash.
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
        let told = text.unwrap_or("unknown");
        Error::entry(entry, format!("the tokenizers crate gave up: {told}"))
    })
}

/// Where the regular expressions of a file are.
///
/// # Errors
/// If one cannot be compiled, or fails on a short text for backtracking; the entry is named.
pub(crate) fn patterns(file: &Value) -> Result<Vec<String>> {
    let mut found = Vec::new();
    collect(file, String::new(), &mut found)?;
    Ok(found)
}

fn collect(value: &Value, path: String, found: &mut Vec<String>) -> Result<()> {
    match value {
        Value::Object(entries) => {
            for (key, inner) in entries {
                let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match inner {
                    Value::String(pattern) if key == "Regex" => {
                        probe(pattern).map_err(|problem| Error::entry(at.as_str(), problem))?;
                        found.push(at);
                    }
                    // A vocabulary is long, and holds no patterns.
                    _ if matches!(key.as_str(), "vocab" | "merges") => {}
                    _ => collect(inner, at, found)?,
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                collect(item, format!("{path}[{i}]"), found)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Tries a pattern on texts that repeat what it speaks of and then end otherwise.
fn probe(pattern: &str) -> std::result::Result<(), String> {
    if pattern.len() > LONGEST {
        return Err(format!("{} bytes; want at most {LONGEST}", pattern.len()));
    }
    let options = onig::RegexOptions::REGEX_OPTION_NONE;
    let regex = Regex::with_options(pattern, options, Syntax::default())
        .map_err(|error| error.description().to_owned())?;
    let mut letters: Vec<char> = "a1 \n.é中".chars().collect();
    for letter in pattern.chars().filter(|letter| !letter.is_ascii_punctuation()) {
        if letters.len() < 16 && !letters.contains(&letter) {
            letters.push(letter);
        }
    }
    let singles = letters.iter().map(char::to_string);
    let pairs = letters.iter().flat_map(|a| letters.iter().map(move |b| format!("{a}{b}")));
    // The matcher does not even begin where a letter that must come is nowhere.
    let all: String = letters.iter().copied().chain(pattern.chars()).collect();
    for unit in singles.chain(pairs) {
        for end in ["", "\u{1}", &format!("\u{1}{all}")] {
            let text = unit.repeat(REPEATED) + end;
            let mut parameters = MatchParam::default();
            parameters.set_retry_limit_in_match(PROBE);
            let none = SearchOptions::SEARCH_OPTION_NONE;
            let end = text.len();
            if let Err(error) =
                regex.search_with_param(text.as_str(), 0, end, none, None, parameters)
            {
                return Err(format!(
                    "backtracks for too long on {end} bytes of text ({}); want a pattern without \
                     nested repetition",
                    error.description()
                ));
            }
        }
    }
    Ok(())
}
