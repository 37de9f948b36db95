//! The merge rules, and how they turn one piece into ids.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Ids below this fit the pair table; a vocabulary beyond it is not ours.
pub const ID_LIMIT: u32 = (1 << ID_BITS) - 1;
/// Merges below this count fit the pair table.
pub const RANK_LIMIT: u32 = 1 << RANK_BITS;

const ID_BITS: u32 = 21;
const RANK_BITS: u32 = 22;
const EMPTY: u64 = u64::MAX;
/// No rule joins the pair.
const NEVER: u32 = u32::MAX;
/// Up to this length scanning for the lowest rank beats a heap.
const SCAN: usize = 96;

/// Pair to rank in 8 bytes an entry: two ids of 21 bits and a rank of 22.
#[derive(Debug)]
pub struct Merges {
    bytes: [u32; 256],
    /// Ranks of pairs of bytes, which every piece asks for first.
    byte_pairs: Vec<u32>,
    table: Vec<u64>,
    shift: u32,
    results: Vec<u32>,
}

/// Working memory for pieces.
#[derive(Debug)]
pub struct Scratch {
    ids: [u32; SCAN],
    ranks: [u32; SCAN],
    long: Vec<Symbol>,
    heap: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { ids: [0; SCAN], ranks: [NEVER; SCAN], long: Vec::new(), heap: BinaryHeap::new() }
    }
}

/// One symbol of a long piece, in a list linked by position.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    id: u32,
    previous: u32,
    next: u32,
}

/// No symbol: the end of the list, or the id of one that was merged away.
const NONE: u32 = u32::MAX;

impl Merges {
    /// Rules from `(left, right, result)` in order of rank; of equal pairs the last one counts.
    ///
    /// `bytes` holds the id of each byte. Ids must lie below [`ID_LIMIT`], ranks below [`RANK_LIMIT`].
    pub fn new(bytes: [u32; 256], rules: &[(u32, u32, u32)]) -> Self {
        let size = (rules.len() * 2 + 2).next_power_of_two();
        let mut merges = Self {
            bytes,
            byte_pairs: Vec::new(),
            table: vec![EMPTY; size],
            shift: 64 - size.trailing_zeros(),
            results: rules.iter().map(|rule| rule.2).collect(),
        };
        for (rank, &(left, right, _)) in (0..).zip(rules) {
            let key = key(left, right);
            let slot = merges.slot(key);
            merges.table[slot] = key << RANK_BITS | rank;
        }
        let pairs =
            (0..=0xFFFF_usize).map(|pair| merges.rank(bytes[pair >> 8], bytes[pair & 0xFF]));
        merges.byte_pairs = pairs.collect();
        merges
    }

    /// Where a key is, or would go.
    #[inline]
    fn slot(&self, key: u64) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize & mask;
        while self.table[slot] != EMPTY && self.table[slot] >> RANK_BITS != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[inline]
    fn rank(&self, left: u32, right: u32) -> u32 {
        let entry = self.table[self.slot(key(left, right))];
        if entry == EMPTY { NEVER } else { entry as u32 & (RANK_LIMIT - 1) }
    }

    /// Ids of one piece, appended to `out`; at most one a byte.
    pub fn apply(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        if piece.len() <= SCAN {
            let count = self.scan(piece, scratch);
            out.extend_from_slice(&scratch.ids[..count]);
        } else {
            self.heap(piece, scratch, out);
        }
    }

    /// Joins the leftmost pair of lowest rank until no rule applies; ids stay in `scratch`.
    fn scan(&self, piece: &[u8], scratch: &mut Scratch) -> usize {
        let mut count = piece.len();
        let (ids, ranks) = (&mut scratch.ids, &mut scratch.ranks);
        for (id, &byte) in ids.iter_mut().zip(piece) {
            *id = self.bytes[byte as usize];
        }
        for (rank, pair) in ranks.iter_mut().zip(piece.windows(2)) {
            *rank = self.byte_pairs[usize::from(pair[0]) << 8 | usize::from(pair[1])];
        }
        while count > 1 {
            let (mut at, mut best) = (0, NEVER);
            for (i, &rank) in ranks[..count - 1].iter().enumerate() {
                if rank < best {
                    (at, best) = (i, rank);
                }
            }
            if best == NEVER {
                break;
            }
            ids[at] = self.results[best as usize];
            count -= 1;
            // A loop, because pieces are short and a call to move memory is not.
            for i in at + 1..count {
                ids[i] = ids[i + 1];
                ranks[i] = ranks[i + 1];
            }
            if at > 0 {
                ranks[at - 1] = self.rank(ids[at - 1], ids[at]);
            }
            if at + 1 < count {
                ranks[at] = self.rank(ids[at], ids[at + 1]);
            }
        }
        count
    }

    /// The same for long pieces in n log n: a heap whose outdated entries are skipped.
    fn heap(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        let Scratch { long: symbols, heap, .. } = scratch;
        symbols.clear();
        heap.clear();
        let last = piece.len() as u32 - 1;
        symbols.extend((0..).zip(piece).map(|(i, &byte)| Symbol {
            id: self.bytes[byte as usize],
            previous: if i == 0 { NONE } else { i - 1 },
            next: if i == last { NONE } else { i + 1 },
        }));
        for (i, pair) in (0..).zip(piece.windows(2)) {
            let rank = self.byte_pairs[usize::from(pair[0]) << 8 | usize::from(pair[1])];
            if rank != NEVER {
                heap.push(Reverse((rank, i)));
            }
        }
        while let Some(Reverse((rank, at))) = heap.pop() {
            let Symbol { id, previous, next } = symbols[at as usize];
            // A symbol that was merged away, or whose neighbour changed, left its entry behind.
            if id == NONE || next == NONE || self.rank(id, symbols[next as usize].id) != rank {
                continue;
            }
            let joined = self.results[rank as usize];
            let after = symbols[next as usize].next;
            symbols[at as usize] = Symbol { id: joined, previous, next: after };
            symbols[next as usize].id = NONE;
            if after != NONE {
                symbols[after as usize].previous = at;
                let rank = self.rank(joined, symbols[after as usize].id);
                if rank != NEVER {
                    heap.push(Reverse((rank, at)));
                }
            }
            if previous != NONE {
                let rank = self.rank(symbols[previous as usize].id, joined);
                if rank != NEVER {
                    heap.push(Reverse((rank, previous)));
                }
            }
        }
        out.extend(symbols.iter().map(|symbol| symbol.id).filter(|&id| id != NONE));
    }
}

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << ID_BITS | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte ids 0..256, then ab, abc, aa, aaaa.
    fn rules() -> Merges {
        let bytes = std::array::from_fn(|i| i as u32);
        let (a, b, c) = (97, 98, 99);
        Merges::new(bytes, &[(a, b, 256), (256, c, 257), (a, a, 258), (258, 258, 259)])
    }

    fn ids(piece: &[u8]) -> Vec<u32> {
        let mut out = Vec::new();
        rules().apply(piece, &mut Scratch::default(), &mut out);
        out
    }

    #[test]
    fn lowest_rank_first_and_leftmost_among_equals() {
        assert_eq!(vec![257, 258], ids(b"abcaa"));
        assert_eq!(vec![97, 256, 100], ids(b"aabd"));
        assert_eq!(vec![259, 97], ids(b"aaaaa"));
        assert_eq!(Vec::<u32>::new(), ids(b""));
    }

    #[test]
    fn of_equal_pairs_the_last_one_counts() {
        let bytes = std::array::from_fn(|i| i as u32);
        let (a, b, c) = (97, 98, 99);
        let merges = Merges::new(bytes, &[(a, b, 256), (b, c, 257), (a, b, 256)]);
        for times in [1, SCAN] {
            let (piece, mut out) = (b"abc".repeat(times), Vec::new());
            merges.apply(&piece, &mut Scratch::default(), &mut out);
            assert_eq!([a, 257].repeat(times), out);
        }
    }

    #[test]
    fn scan_and_heap_agree() {
        let merges = rules();
        let mut state = 7_u64;
        for length in 1..=SCAN {
            let piece: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                    b"aaabcd"[(state >> 60) as usize % 6]
                })
                .collect();
            let mut scratch = Scratch::default();
            let (mut scanned, mut heaped) = (Vec::new(), Vec::new());
            merges.apply(&piece, &mut scratch, &mut scanned);
            merges.heap(&piece, &mut scratch, &mut heaped);
            assert_eq!(scanned, heaped);
        }
    }

    #[test]
    fn a_megabyte_of_one_letter_is_quick() {
        assert_eq!((1 << 20) / 4, ids(&vec![b'a'; 1 << 20]).len());
    }
}
