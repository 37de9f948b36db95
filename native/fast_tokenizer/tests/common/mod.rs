//! Texts to try, the same in every run.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use fast_tokenizer::{Bpe, Result, Settings, Trainer};

/// English with repetition enough to learn from.
pub const CORPUS: [&str; 6] = [
    "The quick brown fox jumps over the lazy dog. The quick brown foxes jump over lazy dogs.",
    "It isn't the dog's fault that they've jumped; it's the fox who'll jump, and I'd jump too.",
    "In 1999 and 2000 the foxes jumped 1999 and 2000 times.\n\n\tThe dogs   slept.\n",
    "Mask tokens look like <mask>, padding looks like <pad>; <mask> <mask> <mask> again.",
    "Größe, naïve, façade, 香蕉 and 🦊🦊🦊: bytes, not letters, are what is merged.",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Trains with the given vocabulary and threads, feeding each text by itself.
pub fn train(texts: &[&str], vocab_size: usize, threads: usize) -> Result<Bpe> {
    let mut trainer = Trainer::new(Settings { vocab_size, min_frequency: 2, threads })?;
    texts.iter().try_for_each(|text| trainer.feed(&[text]))?;
    trainer.finish()
}

/// Marsaglia's xorshift64: enough to choose test data.
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// A text of up to 80 parts: scraps of English, white space, and any characters at all.
    pub fn text(&mut self) -> String {
        const PARTS: [&str; 14] = [
            "the", "fox", "'ve", "'", " ", "  ", "\n", "\u{a0}", "\u{3000}", "12", "½", "<mask>",
            "é", "\u{0}",
        ];
        (0..self.below(80))
            .map(|_| match self.below(3) {
                0 => char::from_u32(self.below(0x11_0000) as u32).unwrap_or('\u{fffd}').into(),
                1 => char::from(self.below(128) as u8).to_string(),
                _ => PARTS[self.below(PARTS.len())].to_string(),
            })
            .collect()
    }
}
