//! The tokenizer itself.

use std::sync::Mutex;

use super::added::{Finder, Segment};
use super::cache::Cache;
use super::decode::Decoder;
use super::encode::{Encode, State, Whole};
use super::key::SHORT;
use super::merges::Merges;
use super::spec::{Spec, Unfit};
use super::split::{Sink, split};
use crate::alphabet;
use cpu::memory;

/// Most bytes that the short pieces of one thread's cache may take.
const CACHE_BYTES: usize = 64 << 20;

/// A byte-level BPE tokenizer, shared freely between threads.
#[derive(Debug)]
pub struct Engine {
    spec: Spec,
    merges: Merges,
    whole: Whole,
    finder: Finder,
    decoder: Decoder,
    /// A cache that knows the vocabulary, for threads to start from.
    seeded: Cache,
    /// States that no thread uses now.
    idle: Mutex<Vec<State>>,
}

impl Engine {
    /// An engine for a checked description.
    ///
    /// # Errors
    ///
    /// The added tokens are too many for one automaton, or a byte has no token but a special one.
    pub fn new(spec: Spec) -> Result<Self, Unfit> {
        let reserved = spec.reserved();
        if let Some(byte) = spec.bytes.iter().position(|id| reserved.contains(id)) {
            let id = spec.bytes[byte];
            return Unfit::other(format!(
                "byte {byte:#04x} is spelled by id {id}, which is special"
            ));
        }
        let free = |rule: &&(u32, u32, u32)| {
            [rule.0, rule.1, rule.2].iter().all(|id| !reserved.contains(id))
        };
        let rules: Vec<_> = spec.rules.iter().filter(free).copied().collect();
        let merges = Merges::new(spec.bytes, &rules);
        let spelled = || (0..).zip(&spec.tokens).filter_map(|(id, t)| Some((id, t.as_deref()?)));
        let bytes = || {
            let ordinary = spelled().filter(|(id, _)| !reserved.contains(id));
            ordinary.filter_map(|(id, t)| Some((id, alphabet::to_bytes(t)?)))
        };
        let whole = if spec.ignore_merges {
            bytes().map(|(id, token)| (token, id)).collect()
        } else {
            Whole::new()
        };
        let finder = Finder::new(&spec.added, spec.parse_special)
            .map_err(|e| Unfit::Other(e.to_string()))?;
        let cache = Cache::new(spec.tokens.len(), CACHE_BYTES);
        let mut state = State::new(cache);
        let mut out = Vec::new();
        for (_, token) in bytes() {
            if (1..=SHORT).contains(&token.len()) {
                let mut encode = Encode::new(&merges, &whole, &token, &mut state, &mut out);
                encode.piece(&token, 0, token.len());
                encode.finish();
                out.clear();
            }
        }
        let (decoder, seeded) = (Decoder::new(&spec), state.cache);
        Ok(Self { spec, merges, whole, finder, decoder, seeded, idle: Mutex::default() })
    }

    /// An engine for the text of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// As [`Spec::from_json`].
    pub fn from_json(text: &str) -> Result<Self, Unfit> {
        Self::new(Spec::from_json(text)?)
    }

    /// What the engine was made from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Ids of a text, without those of the template.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        self.encode_into(text.as_bytes(), true, &mut out);
        out
    }

    /// Appends the ids of bytes, which need not be UTF-8: what is not stands for itself.
    ///
    /// `added` says whether added tokens are looked for, or are text like any other.
    pub fn encode_into(&self, text: &[u8], added: bool, out: &mut Vec<u32>) {
        // About what prose and code need; large texts should not grow the vector step by step.
        memory::reserve(out, text.len() / 3);
        let mut state = self.take();
        self.encode_with(text, added, &mut state, out);
        self.give_back(state);
    }

    /// Appends the ids of bytes by the means of a borrowed state.
    pub(super) fn encode_with(
        &self,
        text: &[u8],
        added: bool,
        state: &mut State,
        out: &mut Vec<u32>,
    ) {
        self.segments(text, added, |segment| match segment.id {
            Some(id) => out.push(id),
            None => self.encode_segment(&text[segment.range], state, out),
        });
    }

    /// The added tokens of a text and what lies between them; none is empty.
    pub(super) fn segments(&self, text: &[u8], added: bool, mut each: impl FnMut(Segment)) {
        if added {
            self.finder.segments(text, each);
        } else if !text.is_empty() {
            each(Segment { range: 0..text.len(), id: None });
        }
    }

    /// Appends the ids of bytes that hold no added token; `text` is not empty.
    pub(super) fn encode_segment(&self, text: &[u8], state: &mut State, out: &mut Vec<u32>) {
        let prefixed;
        let mut text = text;
        if self.spec.prefix_space && text[0] != b' ' {
            prefixed = [b" ", text].concat();
            text = &prefixed;
        }
        let mut encode = Encode::new(&self.merges, &self.whole, text, state, out);
        split(text, self.spec.pattern, &mut encode);
    }

    /// The bytes of ids; those that are no token, and special ones if so asked, are left out.
    pub fn decode_bytes(&self, ids: &[u32], skip_special: bool) -> Vec<u8> {
        let mut out = Vec::new();
        self.decoder.decode(ids, skip_special, &mut out);
        out
    }

    /// The text of ids, with U+FFFD for what is not UTF-8.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        match String::from_utf8(self.decode_bytes(ids, skip_special)) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }

    /// One more than the highest id.
    pub fn vocab_size(&self) -> usize {
        self.decoder.size()
    }

    /// The bytes that one id stands for, nothing for an id that is none.
    pub fn token(&self, id: u32) -> &[u8] {
        self.decoder.token(id)
    }

    /// A state that no other thread uses.
    pub(super) fn take(&self) -> State {
        let idle = self.idle.try_lock().ok().and_then(|mut idle| idle.pop());
        idle.unwrap_or_else(|| State::new(self.seeded.clone()))
    }

    /// Keeps a state for later calls.
    pub(super) fn give_back(&self, state: State) {
        // A lock that a fork left held is never waited for: the state is dropped instead.
        if let Ok(mut idle) = self.idle.try_lock() {
            idle.push(state);
        }
    }

    /// Forgets what earlier calls taught the caches.
    pub fn forget(&self) {
        if let Ok(mut idle) = self.idle.try_lock() {
            idle.clear();
        }
    }
}
