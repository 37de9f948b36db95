//! Counts the pieces of texts, on several threads.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pattern::Pattern;
use super::split::{READABLE, Sink, split};

/// Bytes that one thread counts at a time.
const PART: usize = 128 << 10;

/// Pieces and how often each came.
pub(super) type Counts = HashMap<Box<[u8]>, u64, BuildHasherDefault<Fold>>;

/// A hash for pieces: multiply and fold, eight bytes at a time.
#[derive(Default)]
pub(super) struct Fold(u64);

impl Hasher for Fold {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((word, after)) = rest.split_first_chunk() {
            self.write_u64(u64::from_le_bytes(*word));
            rest = after;
        }
        // Fewer than eight: two reads that overlap, rather than a copy of unknown length.
        let last = match (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
            }
            _ => rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        self.write_u64(last ^ (bytes.len() as u64) << 56);
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x2D35_8DCC_AA6C_78A5) * 0x9E37_79B9_7F4A_7C15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Count<'a> {
    text: &'a [u8],
    counts: &'a mut Counts,
}

impl Count<'_> {
    #[inline]
    fn add(&mut self, start: usize, end: usize) {
        let piece = &self.text[start..end];
        match self.counts.get_mut(piece) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(piece.into(), 1)),
        }
    }
}

impl Sink for Count<'_> {
    #[inline(always)]
    fn window(&mut self, _: &[u8; READABLE], origin: usize, starts: u64) {
        let mut rest = starts & (starts - 1);
        let mut from = origin;
        while rest != 0 {
            let to = origin + rest.trailing_zeros() as usize;
            self.add(from, to);
            from = to;
            rest &= rest - 1;
        }
    }

    fn piece(&mut self, _: &[u8], start: usize, end: usize) {
        self.add(start, end);
    }
}

/// Adds the pieces of texts to the maps, one map a thread; which map gets which does not matter.
pub(super) fn count<T: AsRef<[u8]> + Sync>(texts: &[T], pattern: Pattern, maps: &mut [Counts]) {
    // One thread has no use for parts.
    let size = if maps.len() > 1 { PART } else { usize::MAX };
    let texts: Vec<&[u8]> =
        texts.iter().flat_map(|text| pattern.parts(text.as_ref(), size)).collect();
    let next = AtomicUsize::new(0);
    let (next, texts) = (&next, &texts);
    let work = move |counts: &mut Counts| {
        while let Some(text) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
            split(text, pattern, &mut Count { text, counts });
        }
    };
    let Some((own, others)) = maps.split_first_mut() else { return };
    let others = if texts.len() > 1 { others } else { &mut [] };
    std::thread::scope(|scope| {
        for counts in others {
            // A thread that the system refuses leaves its work to the others.
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || work(counts));
        }
        work(own);
    });
}
