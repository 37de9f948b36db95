//! Many texts, and long ones, on several threads; the ids do not depend on how many.
//!
//! Threads are started for a call and end with it, so nothing is left to break when a process
//! forks. A long text is cut where a piece must end whatever surrounds it.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::encode::State;
use super::tokenizer::Engine;
use cpu::memory;

/// Ids of several texts, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The ids.
    pub ids: Vec<u32>,
    /// Where each text's ids start, and at last their count: one more than there are texts.
    pub offsets: Vec<usize>,
}

/// Threads for a wish, where 0 stands for as many as the machine runs at once.
pub fn threads(wish: usize) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if wish == 0 { all() } else { wish }
}

/// Below this many bytes a thread does not pay.
const SHARE: usize = 128 << 10;
/// Texts longer than this are cut.
const CUT: usize = 1 << 20;
/// Portions a thread, so that all end at about the same time.
const PORTIONS: usize = 6;

/// A stretch of one text, and whether the text ends with it.
struct Part<'a> {
    kind: Kind<'a>,
    last: bool,
}

/// What a part is.
enum Kind<'a> {
    /// Text in which added tokens may lie.
    Mixed(&'a [u8]),
    /// Text in which none is looked for.
    Plain(&'a [u8]),
    /// An added token.
    Added(u32),
}

impl Part<'_> {
    fn bytes(&self) -> usize {
        match self.kind {
            Kind::Mixed(text) | Kind::Plain(text) => text.len(),
            Kind::Added(_) => 0,
        }
    }
}

impl Engine {
    /// Ids of texts on at most `threads` threads; `added` says whether added tokens are looked for.
    pub fn encode_batch<T: AsRef<[u8]>>(&self, texts: &[T], added: bool, threads: usize) -> Batch {
        let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
        let threads = threads.min(bytes / SHARE).max(1);
        if threads == 1 {
            return self.in_turn(texts, added, bytes);
        }
        let parts = self.parts(texts, added);
        let portions = portions(&parts, bytes.div_ceil(threads * PORTIONS));
        let done: Vec<Mutex<Batch>> = portions.iter().map(|_| Mutex::default()).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut state = self.take();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(portion) = portions.get(index) else {
                    break;
                };
                let batch = self.portion(&parts[portion.clone()], &mut state);
                *done[index].lock().unwrap_or_else(PoisonError::into_inner) = batch;
            }
            self.give_back(state);
        };
        share(threads, work);
        let unlocked = done
            .into_iter()
            .map(|batch| batch.into_inner().unwrap_or_else(PoisonError::into_inner));
        join(unlocked.collect(), texts.len(), threads)
    }

    fn in_turn<T: AsRef<[u8]>>(&self, texts: &[T], added: bool, bytes: usize) -> Batch {
        let mut batch = Batch { ids: Vec::new(), offsets: Vec::with_capacity(texts.len() + 1) };
        memory::reserve(&mut batch.ids, bytes / 3);
        let mut state = self.take();
        batch.offsets.push(0);
        for text in texts {
            self.encode_with(text.as_ref(), added, &mut state, &mut batch.ids);
            batch.offsets.push(batch.ids.len());
        }
        self.give_back(state);
        batch
    }

    /// Texts cut at added tokens if they are long, and then where it is safe.
    fn parts<'a, T: AsRef<[u8]>>(&self, texts: &'a [T], added: bool) -> Vec<Part<'a>> {
        let mut parts = Vec::with_capacity(texts.len());
        for text in texts.iter().map(AsRef::as_ref) {
            if text.len() <= CUT {
                let kind = if added { Kind::Mixed(text) } else { Kind::Plain(text) };
                parts.push(Part { kind, last: true });
                continue;
            }
            self.segments(text, added, |segment| match segment.id {
                Some(id) => parts.push(Part { kind: Kind::Added(id), last: false }),
                None => {
                    // A blank put in front of every segment would come in front of every part.
                    let size = if self.spec().prefix_space { usize::MAX } else { CUT / 2 };
                    let cut = self.spec().pattern.parts(&text[segment.range], size);
                    parts.extend(cut.map(|text| Part { kind: Kind::Plain(text), last: false }));
                }
            });
            if let Some(part) = parts.last_mut() {
                part.last = true;
            }
        }
        parts
    }

    fn portion(&self, parts: &[Part], state: &mut State) -> Batch {
        let bytes: usize = parts.iter().map(Part::bytes).sum();
        let mut batch = Batch::default();
        memory::reserve(&mut batch.ids, bytes / 3);
        for part in parts {
            match part.kind {
                Kind::Mixed(text) => self.encode_with(text, true, state, &mut batch.ids),
                Kind::Plain(text) => self.encode_with(text, false, state, &mut batch.ids),
                Kind::Added(id) => batch.ids.push(id),
            }
            if part.last {
                batch.offsets.push(batch.ids.len());
            }
        }
        batch
    }
}

/// Runs of parts of about `share` bytes.
fn portions(parts: &[Part], share: usize) -> Vec<Range<usize>> {
    let (mut portions, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (i, part) in parts.iter().enumerate() {
        bytes += part.bytes();
        if bytes >= share || i + 1 == parts.len() {
            portions.push(start..i + 1);
            (start, bytes) = (i + 1, 0);
        }
    }
    portions
}

/// Does the same on several threads, this one among them.
pub(crate) fn share(threads: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // A thread that the system refuses leaves its work to the others.
            let _ = std::thread::Builder::new().spawn_scoped(scope, &work);
        }
        work();
    });
}

/// Puts the portions one after the other: much memory is new then, so on several threads.
fn join(portions: Vec<Batch>, texts: usize, threads: usize) -> Batch {
    let mut joined = Batch { ids: Vec::new(), offsets: Vec::with_capacity(texts + 1) };
    joined.offsets.push(0);
    let mut total = 0;
    for portion in &portions {
        joined.offsets.extend(portion.offsets.iter().map(|end| total + end));
        total += portion.ids.len();
    }
    memory::reserve(&mut joined.ids, total);
    let mut rest = &mut joined.ids.spare_capacity_mut()[..total];
    let mut places = Vec::with_capacity(portions.len());
    for Batch { ids, .. } in portions {
        let (place, after) = std::mem::take(&mut rest).split_at_mut(ids.len());
        places.push((ids, place));
        rest = after;
    }
    let places = Mutex::new(places);
    share(threads, || {
        loop {
            let next = places.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((ids, place)) = next else { break };
            for (place, &id) in place.iter_mut().zip(&ids) {
                place.write(id);
            }
        }
    });
    drop(places);
    // SAFETY: the places are the first `total` values of the room reserved, cut by the lengths of
    // the portions. Threads took every place, since each ends only when none is left, and wrote as
    // many ids as it is long; the scope has joined them.
    unsafe { joined.ids.set_len(total) };
    joined
}
