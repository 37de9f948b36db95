//! The printable characters that stand for bytes in a byte-level vocabulary.

use std::sync::LazyLock;

/// The character of each byte: itself where it prints, else U+0100 and following in order.
static CHARACTERS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut stand_in = 0x100..;
    std::array::from_fn(|i| {
        let byte = i as u8;
        match byte {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
            _ => stand_in.next().and_then(char::from_u32).unwrap_or_default(),
        }
    })
});

/// Bytes of the characters up to U+0143, the highest stand-in; None for the others.
static BYTES: LazyLock<[Option<u8>; 0x144]> = LazyLock::new(|| {
    let mut bytes = [None; 0x144];
    for (byte, &character) in (0..=255).zip(CHARACTERS.iter()) {
        bytes[character as usize] = Some(byte);
    }
    bytes
});

/// The character that stands for a byte.
pub fn character(byte: u8) -> char {
    CHARACTERS[byte as usize]
}

/// A token's spelling in a vocabulary file.
#[cfg(test)]
pub fn spell(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| character(byte)).collect()
}

/// The bytes that a spelling stands for; None if a character of it stands for no byte.
pub fn bytes(spelling: &str) -> Option<Vec<u8>> {
    let byte = |c: char| BYTES.get(c as usize).copied().flatten();
    spelling.chars().map(byte).collect()
}

/// What a token decodes to: its bytes, or its own text where it is not spelled in bytes.
pub fn decoded(spelling: &str) -> Vec<u8> {
    bytes(spelling).unwrap_or_else(|| spelling.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_goes_there_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Some(all.clone()), bytes(&spell(&all)));
        assert_eq!("Ġ", spell(b" "));
        assert_eq!(None, bytes("a b"));
        assert_eq!("中".as_bytes(), decoded("中"));
    }
}
