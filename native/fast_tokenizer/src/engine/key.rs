//! A short piece as a number, and hashes of pieces.

/// Longest piece that fits a key.
pub const SHORT: usize = 15;
/// A short piece and its length; the top four bits are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Bytes 0 to 7.
    pub low: u64,
    /// Bytes 8 to 14, then the length.
    pub high: u64,
}

/// Masks that keep the first n bytes of 16.
static KEEP: [[u64; 2]; 16] = {
    let mut table = [[0, 0]; 16];
    let mut n = 0;
    while n < 16 {
        table[n][0] = if n >= 8 { u64::MAX } else { (1 << (8 * n)) - 1 };
        table[n][1] = if n <= 8 { 0 } else { (1 << (8 * (n - 8))) - 1 };
        n += 1;
    }
    table
};

impl Key {
    /// Key of the first `length` (1 to 15) of 16 bytes.
    #[inline(always)]
    pub fn new(bytes: [u8; 16], length: usize) -> Self {
        let both = u128::from_le_bytes(bytes);
        let keep = KEEP[length & SHORT];
        let high = (both >> 64) as u64 & keep[1] | (length as u64) << 56;
        Self { low: both as u64 & keep[0], high }
    }

    /// The piece, and zeros after it.
    pub fn bytes(self) -> [u8; 16] {
        let high = self.high & (u64::MAX >> 8);
        (u128::from(high) << 64 | u128::from(self.low)).to_le_bytes()
    }

    /// Length of the piece; None if this is not a short piece's key.
    pub fn length(self) -> Option<usize> {
        let length = (self.high >> 56) as usize & SHORT;
        (length > 0).then_some(length)
    }

    /// A number that spreads keys over buckets.
    #[inline(always)]
    pub fn hash(self) -> u32 {
        let low = self.low ^ 0x2D35_8DCC_AA6C_78A5;
        let high = self.high ^ 0x8BB8_4B93_962E_ACC9;
        let product = u128::from(low) * u128::from(high);
        product as u32 ^ (product >> 64) as u32
    }
}

/// Hash of a long piece, by its ends and length: equal ones are compared by bytes.
pub fn hash_long(piece: &[u8]) -> u64 {
    let ends = (piece.first_chunk::<16>(), piece.last_chunk::<16>());
    let (Some(first), Some(last)) = ends else {
        return 0;
    };
    let [first, last] = [first, last].map(|bytes| u128::from_le_bytes(*bytes));
    let mix = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let low =
        mix(first as u64 ^ 0x2D35_8DCC_AA6C_78A5, (first >> 64) as u64 ^ 0x8BB8_4B93_962E_ACC9);
    let high =
        mix(last as u64 ^ 0x4B33_A62E_D433_D4A3, (last >> 64) as u64 ^ 0x4D5A_2DA5_1DE1_AA47);
    mix(low ^ piece.len() as u64, high ^ 0xA076_1D64_78BD_642F)
}
