//! Ids of pieces seen before, in bounded memory.
//!
//! Short pieces live in buckets of one cache line's worth of keys and one of ids, two ways each. A
//! key is the piece itself (15 bytes, zero-padded) and its length, so a hit is exact; the count of
//! ids hides in the four bits of the key that the length leaves free, and up to four ids sit beside
//! it. A full bucket overflows into its neighbour, and when that is full too it forgets an entry.
//! Longer pieces are found by hash in a direct-mapped table and compared byte by byte.

use super::key::Key;
use cpu::memory;

/// Ids stored beside a key; pieces with more are kept apart.
pub const INLINE: usize = 4;

const WAYS: usize = 2;
const LONG_SLOTS: usize = 1 << 15;
/// Longer pieces are hardly ever seen twice.
const LONGEST: usize = 256;
/// Most ids or bytes kept apart; then they are all forgotten at once.
const ARENA: usize = 1 << 21;
/// Count that says the ids are kept apart.
const APART: u64 = 15;

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Bucket {
    keys: [Key; WAYS],
    ids: [[u32; INLINE]; WAYS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Long {
    hash: u64,
    bytes: u32,
    length: u32,
    ids: u32,
    count: u32,
}

/// What a look-up found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The ids, `count` of them, if they fit.
    pub ids: [u32; INLINE],
    /// How many ids; above [`INLINE`] they are kept apart.
    pub count: usize,
}

/// The table of short pieces as it is now.
#[derive(Clone, Copy)]
pub struct View<'a> {
    buckets: &'a [Bucket],
    mask: usize,
}

impl View<'_> {
    /// The ids of a short piece, if its own bucket has them.
    #[inline(always)]
    pub fn get(self, key: Key, hash: u32) -> Option<Hit> {
        // SAFETY: `mask` is one less than the number of buckets, a power of two (see
        // `Cache::view`), so the index is below it.
        let bucket = unsafe { self.buckets.get_unchecked(hash as usize & self.mask) };
        let differs = |way: usize| {
            let stored = bucket.keys[way];
            (stored.low ^ key.low) | (stored.high ^ key.high) << 4
        };
        let (first, second) = (differs(0), differs(1));
        if first != 0 && second != 0 {
            return None;
        }
        let way = usize::from(first != 0);
        Some(Hit { ids: bucket.ids[way], count: (bucket.keys[way].high >> 60) as usize })
    }

    /// Prefetches a bucket that is about to be looked up.
    #[inline(always)]
    pub fn prefetch(self, hash: u32) {
        let bucket = self.buckets.as_ptr().wrapping_add(hash as usize & self.mask);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is there on every x86-64, and a prefetch faults at no address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(bucket.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = bucket;
    }
}

/// Pieces and their ids.
#[derive(Clone, Debug)]
pub struct Cache {
    buckets: Vec<Bucket>,
    long: Vec<Long>,
    long_bytes: Vec<u8>,
    ids: Vec<u32>,
    /// Entries written since the table last grew.
    written: usize,
    /// Buckets that the table may grow to.
    limit: usize,
}

impl Cache {
    /// A cache for about `pieces` pieces that grows to at most `limit` bytes of short ones.
    pub fn new(pieces: usize, limit: usize) -> Self {
        let limit = (limit / size_of::<Bucket>()).max(64);
        let limit = 1 << limit.ilog2();
        let buckets = (2 * pieces).next_power_of_two().clamp(64, limit);
        Self {
            buckets: memory::filled(Bucket::default(), buckets),
            long: vec![Long::default(); LONG_SLOTS],
            long_bytes: Vec::new(),
            ids: Vec::new(),
            written: 0,
            limit,
        }
    }

    /// The short pieces, for looking up many.
    #[inline(always)]
    pub fn view(&self) -> View<'_> {
        View { buckets: &self.buckets, mask: self.buckets.len() - 1 }
    }

    /// Appends the ids of a short piece, wherever they are; false if it is not known.
    pub fn find(&self, key: Key, hash: u32, out: &mut Vec<u32>) -> bool {
        let view = self.view();
        let Some(hit) = view.get(key, hash).or_else(|| view.get(key, hash ^ 1)) else {
            return false;
        };
        if hit.count <= INLINE {
            out.extend_from_slice(&hit.ids[..hit.count]);
        } else {
            let [start, count, ..] = hit.ids;
            out.extend_from_slice(&self.ids[start as usize..(start + count) as usize]);
        }
        true
    }

    /// Remembers a short piece.
    pub fn put(&mut self, key: Key, hash: u32, ids: &[u32]) {
        if self.ids.len() > ARENA {
            self.clear();
        }
        if self.written >= self.buckets.len() && self.buckets.len() < self.limit {
            self.grow();
        }
        let mut stored = [0; INLINE];
        let mut count = ids.len() as u64;
        if ids.len() <= INLINE {
            stored[..ids.len()].copy_from_slice(ids);
        } else {
            stored[..2].copy_from_slice(&[self.ids.len() as u32, ids.len() as u32]);
            self.ids.extend_from_slice(ids);
            count = APART;
        }
        self.place(Key { low: key.low, high: key.high | count << 60 }, hash, stored);
        self.written += 1;
    }

    /// Writes an entry into an empty way of its bucket or the neighbouring one, else over another.
    fn place(&mut self, key: Key, hash: u32, ids: [u32; INLINE]) {
        let home = hash as usize & (self.buckets.len() - 1);
        let ways = [(home, 0), (home, 1), (home ^ 1, 0), (home ^ 1, 1)];
        let empty = |&&(at, way): &&(usize, usize)| self.buckets[at].keys[way] == Key::default();
        let (at, way) = ways.iter().find(empty).copied().unwrap_or((home, 1));
        self.buckets[at].keys[way] = key;
        self.buckets[at].ids[way] = ids;
    }

    fn grow(&mut self) {
        let larger = memory::filled(Bucket::default(), self.buckets.len() * 2);
        self.written = 0;
        for bucket in std::mem::replace(&mut self.buckets, larger) {
            for (key, ids) in bucket.keys.into_iter().zip(bucket.ids) {
                if key != Key::default() {
                    let bare = Key { low: key.low, high: key.high << 4 >> 4 };
                    self.place(key, bare.hash(), ids);
                    self.written += 1;
                }
            }
        }
    }

    /// The ids of a long piece, if known.
    pub fn get_long(&self, piece: &[u8], hash: u64) -> Option<&[u32]> {
        let slot = &self.long[hash as usize & (LONG_SLOTS - 1)];
        let bytes = slot.bytes as usize..(slot.bytes + slot.length) as usize;
        let same = slot.hash == hash && &self.long_bytes[bytes] == piece;
        same.then(|| &self.ids[slot.ids as usize..(slot.ids + slot.count) as usize])
    }

    /// Remembers a long piece, unless it is too long to come again.
    pub fn put_long(&mut self, piece: &[u8], hash: u64, ids: &[u32]) {
        if piece.len() > LONGEST {
            return;
        }
        if self.ids.len() > ARENA || self.long_bytes.len() > ARENA {
            self.clear();
        }
        self.long[hash as usize & (LONG_SLOTS - 1)] = Long {
            hash,
            bytes: self.long_bytes.len() as u32,
            length: piece.len() as u32,
            ids: self.ids.len() as u32,
            count: ids.len() as u32,
        };
        self.long_bytes.extend_from_slice(piece);
        self.ids.extend_from_slice(ids);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.buckets.fill(Bucket::default());
        self.long.fill(Long::default());
        self.long_bytes.clear();
        self.ids.clear();
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::{SHORT, hash_long};
    use super::*;

    fn key(piece: &[u8]) -> Key {
        let mut bytes = [0xAB; 16];
        bytes[..piece.len()].copy_from_slice(piece);
        Key::new(bytes, piece.len())
    }

    #[test]
    fn finds_what_was_put_and_nothing_else() {
        let mut cache = Cache::new(64, 1 << 20);
        let ids: Vec<u32> = (0..15).collect();
        for length in 1..=SHORT {
            let piece = &b"\0\0abcdefghijklm"[..length];
            cache.put(key(piece), key(piece).hash(), &ids[..length]);
        }
        for length in 1..=SHORT {
            let piece = &b"\0\0abcdefghijklm"[..length];
            let mut found = Vec::new();
            assert!(cache.find(key(piece), key(piece).hash(), &mut found));
            assert_eq!(&ids[..length], found);
            assert_eq!(piece, &key(piece).bytes()[..key(piece).length().unwrap()]);
        }
        assert_eq!(None, cache.view().get(key(b"x"), key(b"x").hash()));
    }

    /// Pieces are distinguished by their length too, and by each byte of either half.
    #[test]
    fn pieces_that_differ_in_zeros_or_in_one_byte_are_told_apart() {
        let mut pieces: Vec<Vec<u8>> = (1..=SHORT).map(|length| vec![0; length]).collect();
        pieces.extend((1..=SHORT).map(|length| [&b"ab"[..], &[0; SHORT][..length - 1]].concat()));
        for at in 0..SHORT {
            let mut piece = vec![7; SHORT];
            piece[at] = 9;
            pieces.extend([piece[..=at].to_vec(), piece]);
        }
        pieces.retain(|piece| piece.len() <= SHORT);
        pieces.sort();
        pieces.dedup();
        let mut cache = Cache::new(1 << 12, 1 << 20);
        for (known, piece) in pieces.iter().enumerate() {
            // All that is looked up here meets one bucket.
            for other in &pieces[known..] {
                let mut found = Vec::new();
                assert!(!cache.find(key(other), 6, &mut found), "{piece:?} {other:?} {found:?}");
            }
            cache.clear();
            cache.put(key(piece), 6, &[known as u32]);
            for (i, other) in pieces.iter().enumerate() {
                let mut found = Vec::new();
                assert_eq!(
                    i == known,
                    cache.find(key(other), 6, &mut found),
                    "{piece:?} {other:?}"
                );
                assert_eq!(i == known, found == vec![known as u32]);
            }
            cache.clear();
        }
    }

    /// Four pieces of one bucket have their places; a fifth takes one and leaves three.
    #[test]
    fn a_full_bucket_forgets_one_entry_and_keeps_the_others() {
        let mut cache = Cache::new(64, 1 << 20);
        let known = |cache: &Cache| -> Vec<u32> {
            let mut all = Vec::new();
            for i in 0..6_u32 {
                let mut found = Vec::new();
                if cache.find(key(&i.to_le_bytes()), 8, &mut found) {
                    assert_eq!(vec![i; i as usize], found);
                    all.push(i);
                }
            }
            all
        };
        for i in 1..5_u32 {
            cache.put(key(&i.to_le_bytes()), 8, &vec![i; i as usize]);
            assert_eq!((1..=i).collect::<Vec<_>>(), known(&cache));
        }
        cache.put(key(&5_u32.to_le_bytes()), 8, &[5; 5]);
        let left = known(&cache);
        assert!(left.len() == 4 && left.contains(&5), "{left:?}");
    }

    /// Of long pieces, those of up to 256 bytes are kept, with all their ids.
    #[test]
    fn long_pieces_are_kept_up_to_a_length() {
        let mut cache = Cache::new(64, 1 << 20);
        for (length, kept) in [(16, true), (255, true), (256, true), (257, false)] {
            let (piece, ids) = (vec![b'x'; length], vec![7; length]);
            cache.put_long(&piece, hash_long(&piece), &ids);
            let found = cache.get_long(&piece, hash_long(&piece));
            assert_eq!(kept.then_some(&ids[..]), found, "{length}");
        }
    }

    #[test]
    fn what_was_known_before_a_growth_is_known_after_it() {
        let mut cache = Cache::new(16, 1 << 20);
        let pieces: Vec<_> = (0..100_u32).map(|i| key(&i.to_le_bytes())).collect();
        for (i, &key) in pieces.iter().enumerate() {
            cache.put(key, key.hash(), &[i as u32, 7]);
        }
        let before = cache.buckets.len();
        cache.grow();
        assert_eq!(2 * before, cache.buckets.len());
        let found = pieces.iter().enumerate().filter(|&(i, &key)| {
            let mut ids = Vec::new();
            cache.find(key, key.hash(), &mut ids) && {
                assert_eq!(vec![i as u32, 7], ids);
                true
            }
        });
        assert!(found.count() >= 95);
    }

    /// Faults T5 and T6 of the changes that no test noticed: what was forgotten is not found, and
    /// what is found is what was put.
    #[test]
    fn what_is_kept_apart_is_right_or_forgotten() {
        let mut cache = Cache::new(64, 1 << 20);
        let count = ARENA / 8 + 1000;
        let ids = |i: usize| -> Vec<u32> { (0..8).map(|j| (i * 8 + j) as u32).collect() };
        let short = |i: usize| key(format!("s{i:09}").as_bytes());
        let long = |i: usize| format!("{:.<200}{i:09}", "").into_bytes();
        // Some of each kind first, then so much that all is forgotten once, and then again.
        for round in 0..2 {
            for i in 0..100 {
                cache.put(short(i), short(i).hash(), &ids(i));
                cache.put_long(&long(i), hash_long(&long(i)), &ids(i));
            }
            for i in 100..count {
                let (key, at) = (short(i), i + round * count);
                cache.put(key, key.hash(), &ids(at));
            }
            for i in 0..100 {
                let mut found = Vec::new();
                if cache.find(short(i), short(i).hash(), &mut found) {
                    assert_eq!(ids(i), found);
                }
                let piece = long(i);
                assert!(
                    cache.get_long(&piece, hash_long(&piece)).is_none_or(|found| ids(i) == found)
                );
            }
        }
    }

    /// Fault T4 of the changes that no test noticed.
    #[test]
    fn long_pieces_of_one_hash_are_told_apart() {
        let mut cache = Cache::new(64, 1 << 20);
        cache.put_long(b"a piece of more than fifteen", 7, &[1, 2]);
        assert_eq!(Some(&[1, 2][..]), cache.get_long(b"a piece of more than fifteen", 7));
        assert_eq!(None, cache.get_long(b"a piece of more than sixteen", 7));
        assert_eq!(None, cache.get_long(b"a piece of more than fifteen!", 7));
        assert_eq!(None, cache.get_long(b"a piece of more than fifteen", 7 + LONG_SLOTS as u64));
    }

    #[test]
    fn memory_is_bounded_and_growth_keeps_entries() {
        let mut cache = Cache::new(64, 64 * 1024);
        for i in 0..100_000_u32 {
            let key = key(&i.to_le_bytes());
            cache.put(key, key.hash(), &[i]);
            let mut found = Vec::new();
            assert!(cache.find(key, key.hash(), &mut found));
            assert_eq!(vec![i], found);
        }
        assert_eq!(1024, cache.buckets.len());
        for i in 0..300_000_u32 {
            let piece = format!("a piece that is too long for a key {i}");
            cache.put_long(piece.as_bytes(), hash_long(piece.as_bytes()), &[i]);
            let found = cache.get_long(piece.as_bytes(), hash_long(piece.as_bytes()));
            assert_eq!(Some(&[i][..]), found);
        }
        assert!(cache.long_bytes.len() <= ARENA + LONGEST);
    }
}
