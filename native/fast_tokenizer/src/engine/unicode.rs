//! The class of a character, and how to read one from bytes that may not be UTF-8.

use std::sync::LazyLock;

use super::tables::{LETTERS, NUMBERS, SPACES};

/// What the patterns distinguish; every character has exactly one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Neither letter, number nor white space.
    Other = 0,
    /// `\p{L}`
    Letter = 1,
    /// `\p{N}`
    Number = 2,
    /// `\s`
    Space = 3,
}

const PAGE: usize = 256;

/// Two stages: a page number for each 256 code points, and the distinct pages.
struct Table {
    index: Vec<u8>,
    pages: Vec<[Class; PAGE]>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut flat = vec![Class::Other; 0x11_0000];
    for (ranges, class) in
        [(&LETTERS[..], Class::Letter), (&NUMBERS[..], Class::Number), (&SPACES[..], Class::Space)]
    {
        for &(first, last) in ranges {
            flat[first as usize..=last as usize].fill(class);
        }
    }
    let mut pages: Vec<[Class; PAGE]> = Vec::new();
    let index = flat
        .chunks_exact(PAGE)
        .map(|chunk| {
            let known = pages.iter().position(|page| page[..] == *chunk);
            let number = known.unwrap_or_else(|| {
                let mut page = [Class::Other; PAGE];
                page.copy_from_slice(chunk);
                pages.push(page);
                pages.len() - 1
            });
            u8::try_from(number).expect("the ranges make fewer than 256 distinct pages")
        })
        .collect();
    Table { index, pages }
});

/// Looks classes up without asking each time whether the table is there.
#[derive(Clone, Copy)]
pub struct Classes(&'static Table);

impl Classes {
    /// The table, built on first use.
    pub fn get() -> Self {
        Self(&TABLE)
    }

    /// Class of a code point; what lies beyond U+10FFFF is `Other`.
    #[inline]
    pub fn of(self, code: u32) -> Class {
        let page = self.0.index.get(code as usize / PAGE).copied();
        page.map_or(Class::Other, |page| self.0.pages[page as usize][code as usize % PAGE])
    }

    /// Class and length in bytes of the character at `at`, which must lie inside `text`.
    ///
    /// A byte that starts no valid UTF-8 sequence is a character of its own, of class `Other`.
    #[inline]
    pub fn at(self, text: &[u8], at: usize) -> (Class, usize) {
        let byte = text[at];
        if byte < 0x80 {
            return (self.of(u32::from(byte)), 1);
        }
        match decode(&text[at..]) {
            Some((code, length)) => (self.of(code), length),
            None => (Class::Other, 1),
        }
    }
}

/// The character that a multi-byte sequence at the start of `bytes` stands for, and its length.
#[inline]
fn decode(bytes: &[u8]) -> Option<(u32, usize)> {
    let continuation = |i: usize| -> Option<u32> {
        let byte = *bytes.get(i)?;
        (byte & 0xC0 == 0x80).then_some(u32::from(byte & 0x3F))
    };
    let first = u32::from(bytes[0]);
    match first {
        0xC2..=0xDF => Some(((first & 0x1F) << 6 | continuation(1)?, 2)),
        0xE0..=0xEF => {
            let code = (first & 0x0F) << 12 | continuation(1)? << 6 | continuation(2)?;
            (code >= 0x800 && !(0xD800..0xE000).contains(&code)).then_some((code, 3))
        }
        0xF0..=0xF4 => {
            let head = (first & 0x07) << 18 | continuation(1)? << 12;
            let code = head | continuation(2)? << 6 | continuation(3)?;
            (0x1_0000..0x11_0000).contains(&code).then_some((code, 4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_exactly_what_the_standard_library_reads() {
        let classes = Classes::get();
        for code in (0..=0x10_FFFF).filter_map(char::from_u32) {
            let mut buffer = [0; 4];
            let bytes = code.encode_utf8(&mut buffer).as_bytes();
            assert_eq!((classes.of(code as u32), bytes.len()), classes.at(bytes, 0));
        }
    }

    #[test]
    fn broken_sequences_are_single_bytes() {
        for bytes in [
            &b"\x80"[..],
            b"\xC0\x80",
            b"\xC3",
            b"\xE0\x80\x80",
            b"\xED\xA0\x80",
            b"\xE2\x82",
            b"\xF4\x90\x80\x80",
            b"\xF0\x80\x80\x80",
            b"\xFF",
        ] {
            assert!(std::str::from_utf8(bytes).is_err());
            assert_eq!((Class::Other, 1), Classes::get().at(bytes, 0), "{bytes:x?}");
        }
    }
}
