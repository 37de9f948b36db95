//! Learns merges in the order in which `tokenizers` 0.23 learns them.
//!
//! The pair that occurs most is merged first; of equally frequent pairs the one whose left id is
//! smaller, then whose right id is. As there, occurrences are counted in overlapping windows, and a
//! token that other merges spelled already keeps its id.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::BuildHasherDefault;

use super::count::{Counts, Fold, count};
use super::pattern::Pattern;
use crate::alphabet;

/// Longer pieces are learned in parts, unlike by the reference: time is quadratic in their length.
const LONGEST: usize = 1 << 12;

/// Counts pieces as texts are fed, then learns merges from the counts.
#[derive(Debug)]
pub struct Trainer {
    pattern: Pattern,
    maps: Vec<Counts>,
}

/// What was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Spelling of each id: special tokens, bytes by the order of their characters, merges.
    pub tokens: Vec<String>,
    /// Rules by rank: left, right, result.
    pub rules: Vec<(u32, u32, u32)>,
}

/// A pair that may be merged, and the words that hold it.
#[derive(Debug)]
struct Candidate {
    count: i64,
    pair: (u32, u32),
    words: Vec<u32>,
}

impl Candidate {
    fn rank(&self) -> (i64, Reverse<(u32, u32)>) {
        (self.count, Reverse(self.pair))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl Trainer {
    /// A trainer that has seen nothing and counts on `threads` threads.
    pub fn new(pattern: Pattern, threads: usize) -> Self {
        let maps = (0..threads.max(1)).map(|_| Counts::default()).collect();
        Self { pattern, maps }
    }

    /// Counts the pieces of texts; only the counts are kept.
    pub fn feed<T: AsRef<[u8]> + Sync>(&mut self, texts: &[T]) {
        count(texts, self.pattern, &mut self.maps);
    }

    /// Learns until there are `size` tokens or no pair occurs `least` times; `each` is called
    /// with the number of tokens, and stops the training by returning false.
    pub fn finish(
        self,
        size: usize,
        least: u64,
        special: &[&str],
        mut each: impl FnMut(usize) -> bool,
    ) -> Learned {
        let mut maps = self.maps.into_iter();
        let mut counts = maps.next().unwrap_or_default();
        for (piece, count) in maps.flatten() {
            *counts.entry(piece).or_default() += count;
        }
        let mut learner = Learner::new(counts, special);
        while learner.learned.tokens.len() < size && learner.merge(least) {
            if !each(learner.learned.tokens.len()) {
                break;
            }
        }
        learner.learned
    }
}

/// Words as ids, and the pairs in them.
struct Learner {
    learned: Learned,
    ids: HashMap<String, u32>,
    symbols: Vec<u32>,
    /// Start and length of each word's symbols, and how often it came.
    words: Vec<(usize, u32, i64)>,
    pairs: Pairs,
    queue: BinaryHeap<Candidate>,
}

/// Counts of pairs, and where the new ones are.
#[derive(Default)]
struct Pairs {
    slots: HashMap<u64, u32, BuildHasherDefault<Fold>>,
    counts: Vec<i64>,
    fresh: Vec<Vec<u32>>,
    touched: Vec<(u32, (u32, u32))>,
}

impl Pairs {
    fn add(&mut self, pair: (u32, u32), change: i64, word: u32) {
        let key = u64::from(pair.0) << 32 | u64::from(pair.1);
        let slot = *self.slots.entry(key).or_insert_with(|| {
            self.counts.push(0);
            self.fresh.push(Vec::new());
            self.counts.len() as u32 - 1
        });
        self.counts[slot as usize] += change;
        if change > 0 {
            let words = &mut self.fresh[slot as usize];
            if words.is_empty() {
                self.touched.push((slot, pair));
            }
            if words.last() != Some(&word) {
                words.push(word);
            }
        }
    }

    fn count(&self, pair: (u32, u32)) -> i64 {
        let slot = self.slots.get(&(u64::from(pair.0) << 32 | u64::from(pair.1)));
        slot.map_or(0, |&slot| self.counts[slot as usize])
    }

    /// Hands the pairs that were added since the last time to the queue.
    fn queue(&mut self, queue: &mut BinaryHeap<Candidate>) {
        for (slot, pair) in self.touched.drain(..) {
            let words = std::mem::take(&mut self.fresh[slot as usize]);
            let count = self.counts[slot as usize];
            if count > 0 {
                queue.push(Candidate { count, pair, words });
            }
        }
    }
}

impl Learner {
    fn new(counts: Counts, special: &[&str]) -> Self {
        let mut learner = Self {
            learned: Learned { tokens: Vec::new(), rules: Vec::new() },
            ids: HashMap::new(),
            symbols: Vec::new(),
            words: Vec::with_capacity(counts.len()),
            pairs: Pairs::default(),
            queue: BinaryHeap::new(),
        };
        for name in special {
            learner.token((*name).to_owned());
        }
        let mut alphabet: Vec<char> = (0..=255).map(alphabet::character).collect();
        alphabet.sort_unstable();
        for character in alphabet {
            learner.token(character.to_string());
        }
        let byte = |byte| learner.ids[&alphabet::character(byte).to_string()];
        let bytes: [u32; 256] = std::array::from_fn(|i| byte(i as u8));
        for (piece, count) in counts {
            for part in piece.chunks(LONGEST) {
                let word = learner.words.len() as u32;
                let start = learner.symbols.len();
                learner.symbols.extend(part.iter().map(|&byte| bytes[byte as usize]));
                learner.words.push((start, part.len() as u32, count as i64));
                for pair in learner.symbols[start..].windows(2) {
                    learner.pairs.add((pair[0], pair[1]), count as i64, word);
                }
            }
        }
        learner.pairs.queue(&mut learner.queue);
        learner
    }

    /// The id of a token, a new one if it is new.
    fn token(&mut self, spelling: String) -> u32 {
        let next = self.learned.tokens.len() as u32;
        *self.ids.entry(spelling).or_insert_with_key(|spelling| {
            self.learned.tokens.push(spelling.clone());
            next
        })
    }

    /// Merges the best pair; false if none occurs often enough.
    fn merge(&mut self, least: u64) -> bool {
        let best = loop {
            let Some(mut best) = self.queue.pop() else { return false };
            let count = self.pairs.count(best.pair);
            if best.count == count {
                break best;
            }
            // What was counted when it was queued has shrunk since.
            best.count = count;
            self.queue.push(best);
        };
        if best.count < 1 || (best.count as u64) < least {
            return false;
        }
        let (left, right) = best.pair;
        let tokens = &self.learned.tokens;
        let joined = format!("{}{}", tokens[left as usize], tokens[right as usize]);
        let joined = self.token(joined);
        self.learned.rules.push((left, right, joined));
        for word in best.words {
            self.replace(word, best.pair, joined);
        }
        self.pairs.queue(&mut self.queue);
        true
    }

    /// Replaces a pair in one word from left to right, and counts what that changes.
    fn replace(&mut self, word: u32, (left, right): (u32, u32), joined: u32) {
        let (start, length, count) = self.words[word as usize];
        let symbols = &mut self.symbols[start..start + length as usize];
        let (mut read, mut write) = (0, 0);
        while read < symbols.len() {
            if symbols[read] != left || symbols.get(read + 1) != Some(&right) {
                symbols[write] = symbols[read];
                (read, write) = (read + 1, write + 1);
                continue;
            }
            if write > 0 {
                self.pairs.add((symbols[write - 1], left), -count, word);
                self.pairs.add((symbols[write - 1], joined), count, word);
            }
            if let Some(&next) = symbols.get(read + 2) {
                self.pairs.add((right, next), -count, word);
                self.pairs.add((joined, next), count, word);
            }
            symbols[write] = joined;
            (read, write) = (read + 2, write + 1);
        }
        self.words[word as usize].1 = write as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter().map(|&(piece, count)| (piece.as_bytes().into(), count)).collect()
    }

    fn learn(maps: Vec<Counts>, least: u64) -> Vec<String> {
        let learned = Trainer { pattern: Pattern::Gpt2, maps }.finish(300, least, &[], |_| true);
        learned.tokens[256..].to_vec()
    }

    /// Whatever each thread has counted, all of it counts.
    #[test]
    fn the_counts_of_all_threads_are_added() {
        let maps = vec![
            counts(&[("ab", 3), ("cd", 4)]),
            counts(&[("ab", 2), ("ef", 1)]),
            Counts::default(),
            counts(&[("gh", 1), ("ef", 1), ("ab", 1)]),
        ];
        assert_eq!(vec!["ab", "cd", "ef"], learn(maps.clone(), 2));
        let all = counts(&[("ab", 6), ("cd", 4), ("ef", 2), ("gh", 1)]);
        for least in 0..8 {
            let right: Vec<&str> = [("ab", 6), ("cd", 4), ("ef", 2), ("gh", 1)]
                .iter()
                .filter(|&&(_, count)| count >= least)
                .map(|pair| pair.0)
                .collect();
            assert_eq!(right, learn(vec![all.clone()], least), "{least}");
            assert_eq!(right, learn(maps.clone(), least), "{least}");
        }
    }

    /// Equal counts: the smaller left id first, then the smaller right id.
    #[test]
    fn of_equal_pairs_the_one_of_smaller_ids_comes_first() {
        let pieces = counts(&[("bx", 2), ("ay", 2), ("az", 2), ("bc", 2), ("zz", 3)]);
        assert_eq!(vec!["zz", "ay", "az", "bc", "bx"], learn(vec![pieces], 1));
    }

    #[test]
    fn no_pair_is_counted_across_the_parts_of_a_long_piece() {
        let piece = |a: usize, b: usize| "a".repeat(a) + &"b".repeat(b);
        let mixed = |piece: String| {
            let found = learn(vec![counts(&[(&piece, 1)])], 1);
            found.iter().any(|token| token.contains("ab"))
        };
        assert!(!mixed(piece(1 << 12, 1 << 12)) && !mixed(piece(1 << 13, 9)));
        assert!(mixed(piece((1 << 12) - 1, 1)));
    }
}
