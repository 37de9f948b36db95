//! From text to ids: pieces looked up in the cache, and merged where they are new.
//!
//! Pieces are gathered first and looked up some dozens later: by then their part of the cache has
//! arrived from memory, and nothing waits for it.

use super::cache::{Cache, INLINE};
use super::key::{Key, SHORT, hash_long};
use super::merges::{Merges, Scratch};
use super::split::{READABLE, Sink};

/// What one thread needs to encode; kept from call to call for the cache's sake.
#[derive(Debug)]
pub struct State {
    pub(super) cache: Cache,
    scratch: Scratch,
    queue: Box<Queue>,
}

impl State {
    pub(super) fn new(cache: Cache) -> Self {
        let queue = Queue { keys: [Key::default(); QUEUE], hashes: [0; QUEUE] };
        Self { cache, scratch: Scratch::default(), queue: Box::new(queue) }
    }
}

/// Most pieces that wait; a window brings up to 64.
const QUEUE: usize = 192;
/// So many waiting pieces are enough to look them up.
const ENOUGH: usize = QUEUE - 64;
/// Most ids that the waiting pieces can give without another look, and what is written beyond.
const ROOM: usize = QUEUE * INLINE + INLINE;

/// Pieces that were found and not yet looked up.
///
/// A piece too long for a key has its place in the text as `low` and its length as `high`.
#[derive(Debug)]
struct Queue {
    keys: [Key; QUEUE],
    hashes: [u32; QUEUE],
}

/// Vocabulary entries that a piece may equal.
pub type Whole = std::collections::HashMap<Box<[u8]>, u32>;

/// Appends the ids of a text's pieces to a vector.
pub(super) struct Encode<'a> {
    merges: &'a Merges,
    /// Pieces that are ids as they are, whatever the merges say; empty unless the model says so.
    whole: &'a Whole,
    text: &'a [u8],
    state: &'a mut State,
    waiting: usize,
    out: &'a mut Vec<u32>,
}

impl<'a> Encode<'a> {
    pub(super) fn new(
        merges: &'a Merges,
        whole: &'a Whole,
        text: &'a [u8],
        state: &'a mut State,
        out: &'a mut Vec<u32>,
    ) -> Self {
        Self { merges, whole, text, state, waiting: 0, out }
    }

    /// Looks up all that waits.
    #[inline(always)]
    fn flush(&mut self) {
        let waiting = self.waiting.min(QUEUE);
        let mut done = 0;
        while done < waiting {
            self.out.reserve(ROOM);
            let table = self.state.cache.view();
            let queue = &*self.state.queue;
            let first = self.out.len();
            let start = self.out.as_mut_ptr();
            let mut count = first;
            while done < waiting {
                let Some(hit) = table.get(queue.keys[done], queue.hashes[done]) else {
                    break;
                };
                if hit.count > INLINE {
                    break;
                }
                // SAFETY: `INLINE` ids of room for each waiting piece, and `INLINE` more, were
                // reserved above; each piece before this one took at most `INLINE` of it, as was
                // just checked.
                unsafe { start.add(count).cast::<[u32; INLINE]>().write_unaligned(hit.ids) };
                count += hit.count;
                done += 1;
            }
            // SAFETY: the writes above were within the room reserved, and each piece's ids up to
            // its `count` are initialized: a write of `INLINE` ids begins where the ids before it
            // end.
            unsafe { self.out.set_len(count) };
            if done < waiting {
                self.look_further(done);
                done += 1;
            }
        }
        self.waiting = 0;
    }

    /// Appends the ids of a waiting piece that is not among the inline hits.
    #[inline(never)]
    fn look_further(&mut self, index: usize) {
        let (key, hash) = (self.state.queue.keys[index], self.state.queue.hashes[index]);
        let first = self.out.len();
        let Some(length) = key.length() else {
            let (start, length) = (key.low as usize, key.high as usize);
            let piece = &self.text[start..start + length];
            let hash = hash_long(piece);
            if let Some(ids) = self.state.cache.get_long(piece, hash) {
                self.out.extend_from_slice(ids);
            } else {
                self.work_out(piece);
                self.state.cache.put_long(piece, hash, &self.out[first..]);
            }
            return;
        };
        if !self.state.cache.find(key, hash, self.out) {
            self.work_out(&key.bytes()[..length]);
            self.state.cache.put(key, hash, &self.out[first..]);
        }
    }

    /// Works out a piece's ids and appends them.
    fn work_out(&mut self, piece: &[u8]) {
        match self.whole.get(piece) {
            Some(&id) => self.out.push(id),
            None => self.merges.apply(piece, &mut self.state.scratch, self.out),
        }
    }
}

impl Sink for Encode<'_> {
    #[inline(always)]
    fn window(&mut self, bytes: &[u8; READABLE], origin: usize, starts: u64) {
        let mut rest = starts & (starts - 1);
        let mut from = 0;
        let mut at = self.waiting;
        let table = self.state.cache.view();
        let queue = &mut *self.state.queue;
        while rest != 0 {
            let to = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let length = to - from;
            // SAFETY: `from` is a bit of a `u64`, so at most 63, and `bytes` is an array of 80, so
            // 16 are there; `[u8; 16]` has no alignment.
            let piece = unsafe { bytes.as_ptr().add(from).cast::<[u8; 16]>().read() };
            let key = if length > SHORT {
                Key { low: (origin + from) as u64, high: length as u64 }
            } else {
                Key::new(piece, length)
            };
            let hash = key.hash();
            table.prefetch(hash);
            // SAFETY: fewer than `ENOUGH` pieces waited before this window, or they would have been
            // looked up, and it brings at most 64, for which the queue has room behind `ENOUGH`.
            unsafe {
                *queue.keys.get_unchecked_mut(at) = key;
                *queue.hashes.get_unchecked_mut(at) = hash;
            }
            at += 1;
            from = to;
        }
        self.waiting = at;
        if at >= ENOUGH {
            self.flush();
        }
    }

    fn piece(&mut self, text: &[u8], start: usize, end: usize) {
        let length = end - start;
        let key = if length > SHORT {
            Key { low: start as u64, high: length as u64 }
        } else {
            let mut bytes = [0; 16];
            bytes[..length].copy_from_slice(&text[start..end]);
            Key::new(bytes, length)
        };
        let hash = key.hash();
        self.state.cache.view().prefetch(hash);
        self.state.queue.keys[self.waiting] = key;
        self.state.queue.hashes[self.waiting] = hash;
        self.waiting += 1;
        if self.waiting >= ENOUGH {
            self.flush();
        }
    }

    #[inline(always)]
    fn finish(&mut self) {
        self.flush();
    }
}
