//! The codes of a graph: in memory, or a view of its file until one is changed.

use cpu::memory;
use memmap2::Mmap;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Codes of all slots, one after another.
pub(super) enum Table {
    Own(Vec<i8>),
    /// The bytes of a range of a file.
    Mapped(Arc<Mmap>, Range<usize>),
}

impl Deref for Table {
    type Target = [i8];

    fn deref(&self) -> &[i8] {
        match self {
            Self::Own(codes) => codes,
            Self::Mapped(map, range) => {
                let bytes: *const [u8] = &raw const map[range.clone()];
                // SAFETY: the pointer comes from a slice of the map just now, `u8` and `i8` have
                // one layout and allow all bit patterns, and the view borrows `self`, which holds
                // the map.
                unsafe { &*(bytes as *const [i8]) }
            }
        }
    }
}

impl Table {
    /// The codes, to be changed.
    pub fn own(&mut self) -> &mut Vec<i8> {
        loop {
            match self {
                Self::Own(codes) => return codes,
                Self::Mapped(..) => {
                    let mut codes = Vec::new();
                    memory::reserve(&mut codes, self.len());
                    codes.extend_from_slice(self);
                    *self = Self::Own(codes);
                }
            }
        }
    }
}
