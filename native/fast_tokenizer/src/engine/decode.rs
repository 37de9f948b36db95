//! From ids to bytes and text.

use super::spec::Spec;
use crate::alphabet;
use cpu::memory;

/// Longest token that is copied in one go.
const SHORT: usize = 15;
/// Length that says a token is longer; also of ids that are no token, which decode to nothing.
const LONG: u8 = u8::MAX;

/// What each id decodes to.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The bytes of a short token and its length, by id.
    short: Vec<[u8; 16]>,
    /// Where a long token's bytes lie, by id.
    long: Vec<(u32, u32)>,
    bytes: Vec<u8>,
    /// Whether a token is special, by id.
    special: Vec<bool>,
}

impl Decoder {
    pub(super) fn new(spec: &Spec) -> Self {
        let last = spec.added.iter().map(|token| token.id as usize + 1).max();
        let size = spec.tokens.len().max(last.unwrap_or(0));
        let mut decoder = Self {
            short: vec![[0; 16]; size],
            long: vec![(0, 0); size],
            bytes: Vec::new(),
            special: vec![false; size],
        };
        let tokens = spec.tokens.iter().enumerate().filter_map(|(i, t)| Some((i, t.as_deref()?)));
        let added = spec.added.iter().map(|token| (token.id as usize, token.content.as_str()));
        for token in &spec.added {
            decoder.special[token.id as usize] = token.special;
        }
        for (id, spelling) in tokens.chain(added) {
            let token = alphabet::decoded(spelling);
            let slot = &mut decoder.short[id];
            *slot = [0; 16];
            if token.len() <= SHORT {
                slot[..token.len()].copy_from_slice(&token);
                slot[SHORT] = token.len() as u8;
            } else {
                slot[SHORT] = LONG;
                decoder.long[id] = (decoder.bytes.len() as u32, token.len() as u32);
                decoder.bytes.extend_from_slice(&token);
            }
        }
        decoder
    }

    pub(super) fn size(&self) -> usize {
        self.short.len()
    }

    /// The bytes of one id, nothing for an id that is none.
    pub(super) fn token(&self, id: u32) -> &[u8] {
        match self.short.get(id as usize) {
            None => &[],
            Some(slot) if slot[SHORT] == LONG => {
                let (start, length) = self.long[id as usize];
                &self.bytes[start as usize..(start + length) as usize]
            }
            Some(slot) => &slot[..usize::from(slot[SHORT])],
        }
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }

    /// Appends the bytes of ids; those that are no token, and special ones if so asked, are left out.
    pub(super) fn decode(&self, ids: &[u32], skip_special: bool, out: &mut Vec<u8>) {
        if skip_special && ids.iter().any(|&id| self.is_special(id)) {
            for stretch in ids.split(|&id| self.is_special(id)) {
                self.decode(stretch, false, out);
            }
            return;
        }
        // Most text takes about this much; short texts are not worth a guess.
        memory::reserve(out, ids.len() * 4);
        const BLOCK: usize = 64;
        for block in ids.chunks(BLOCK) {
            out.reserve((BLOCK + 1) * 16);
            let mut length = out.len();
            for &id in block {
                let slot = self.short.get(id as usize).copied().unwrap_or_default();
                if slot[SHORT] == LONG {
                    // SAFETY: `length` grew only by bytes that were written below, within the room
                    // reserved.
                    unsafe { out.set_len(length) };
                    out.extend_from_slice(self.token(id));
                    out.reserve((BLOCK + 1) * 16);
                    length = out.len();
                    continue;
                }
                // SAFETY: since the last reservation at most `BLOCK` ids of a block came, each of
                // at most 15 bytes, and room for 16 bytes of each, and 16 more, was reserved.
                unsafe { out.as_mut_ptr().add(length).cast::<[u8; 16]>().write_unaligned(slot) };
                length += usize::from(slot[SHORT]);
            }
            // SAFETY: `length` grew only by bytes that were written above, within the room
            // reserved.
            unsafe { out.set_len(length) };
        }
    }
}

/// Text as it becomes complete: a character that ids have begun waits for its last byte.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    pending: Vec<u8>,
}

impl Stream {
    /// Adds bytes; returns the text that is certain. Bytes that cannot become a character are
    /// U+FFFD, as many as decoding everything at once would give.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let open = incomplete(&self.pending);
        let rest = self.pending.split_off(self.pending.len() - open);
        let done = std::mem::replace(&mut self.pending, rest);
        String::from_utf8_lossy(&done).into_owned()
    }

    /// What is left at the end: U+FFFD if a character was begun, else nothing.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// Bytes at the end that a character may still complete.
fn incomplete(bytes: &[u8]) -> usize {
    let chunk = bytes.utf8_chunks().last();
    let invalid = chunk.map_or(&[][..], |chunk| chunk.invalid());
    // Only a sequence cut short by the end can be completed; the reader stops at others earlier.
    let needs = match invalid.first() {
        Some(0xC2..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF4) => 4,
        _ => 0,
    };
    if invalid.len() < needs { invalid.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_says_what_decoding_at_once_says() {
        let texts: [&[u8]; 6] = [
            "héllo 中文 😀!".as_bytes(),
            b"\xF0\x9F\x98",
            b"a\xFF\xC3b\xE4\xB8",
            b"\xE0\x80\x80\xF4\x90\x80",
            b"\xED\xA0\x80",
            b"",
        ];
        for bytes in texts {
            for step in 1..5 {
                let mut stream = Stream::default();
                let mut text: String = bytes.chunks(step).map(|chunk| stream.push(chunk)).collect();
                text += &stream.finish();
                assert_eq!(String::from_utf8_lossy(bytes), text);
            }
        }
        let mut stream = Stream::default();
        assert_eq!("", stream.push(b"\xE4\xB8"));
        assert_eq!("中", stream.push(b"\xAD"));
    }
}
