//! A visible character for every byte, so that tokens are text in `tokenizer.json`.
//!
//! GPT-2's table: bytes that Latin-1 prints stand for themselves, the others are numbered from
//! U+0100 on. A space is therefore `Ġ`.

/// The character of each byte.
const CHARS: [char; 256] = {
    let mut chars = ['\0'; 256];
    let mut next = 0x100;
    let mut byte = 0;
    while byte < 256 {
        chars[byte] = match byte as u8 as char {
            c @ ('!'..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}') => c,
            _ => {
                next += 1;
                match char::from_u32(next - 1) {
                    Some(c) => c,
                    None => panic!("evaluated by the compiler: 0x100 to 0x143 are characters"),
                }
            }
        };
        byte += 1;
    }
    chars
};

/// The byte of each character.
const BYTES: [Option<u8>; 0x144] = {
    let mut bytes = [None; 0x144];
    let mut byte = 0;
    while byte < 256 {
        bytes[CHARS[byte] as usize] = Some(byte as u8);
        byte += 1;
    }
    bytes
};

/// Writes bytes as characters of the alphabet.
pub(crate) fn to_chars(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| CHARS[usize::from(byte)]).collect()
}

/// Reads characters of the alphabet; `None` if there is another one among them.
pub(crate) fn to_bytes(chars: &str) -> Option<Box<[u8]>> {
    chars.chars().map(|c| BYTES.get(c as usize).copied().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    #[test]
    fn every_byte_has_its_own_character_and_returns() {
        let bytes: Vec<u8> = (0..=255).collect();
        let chars = to_chars(&bytes);

        assert_eq!(256, chars.chars().collect::<HashSet<_>>().len());
        assert_eq!(Some(bytes.into_boxed_slice()), to_bytes(&chars));
    }

    #[test]
    fn alphabet_is_the_one_of_the_engine() {
        let ours: HashSet<char> = CHARS.into_iter().collect();
        let theirs: HashSet<char> = ByteLevel::alphabet().into_iter().collect();

        assert_eq!(theirs, ours);
        assert_eq!("Ġ", to_chars(b" "));
    }

    #[test]
    fn foreign_character_is_refused() {
        assert_eq!(None, to_bytes("a b"));
        assert_eq!(None, to_bytes("\u{144}"));
    }
}
