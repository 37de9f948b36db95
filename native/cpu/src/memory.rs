//! Memory for large arrays on large pages, where the system has such.
//!
//! A walk over a table that is larger than the processor's cache of addresses otherwise waits for
//! them, a scan is stopped at each small page (Zen 3, int8 codes: 9.6 GB/s instead of 12.5), and
//! every small page costs a fault when it is first touched.

/// The size of a large page of most machines.
const LARGE: usize = 2 << 20;
/// From here on large pages gain something: at least one lies inside, from wherever it begins.
const WORTH: usize = 2 * LARGE;

/// Make room for `more` values, so that growing often costs no more than growing once. Large
/// arrays move to large pages.
///
/// # Panics
///
/// If more than `isize::MAX` bytes would be needed.
#[inline]
pub fn reserve<T>(values: &mut Vec<T>, more: usize) {
    if values.capacity() - values.len() < more {
        grow(values, more);
    }
}

#[cold]
fn grow<T>(values: &mut Vec<T>, more: usize) {
    let length = values.len().saturating_add(more).max(values.len() * 2);
    if length.saturating_mul(size_of::<T>()) < WORTH {
        values.reserve(more);
        return;
    }
    // Memory that has been touched stays on its pages, so all of it is asked for anew.
    let mut larger = Vec::with_capacity(length);
    advise(larger.spare_capacity_mut());
    larger.append(values);
    *values = larger;
}

/// `length` values, all the same.
///
/// # Panics
///
/// As [`reserve`].
#[must_use]
pub fn filled<T: Clone>(value: T, length: usize) -> Vec<T> {
    let mut values = Vec::new();
    reserve(&mut values, length);
    values.resize(length, value);
    values
}

/// Ask for large pages under what has not been touched yet; nothing is lost where there are none.
#[cfg(target_os = "linux")]
fn advise<T>(values: &mut [std::mem::MaybeUninit<T>]) {
    const PAGE: usize = 4 << 10;
    let (first, bytes) = (values.as_mut_ptr().cast::<u8>(), size_of_val(values));
    let skipped = first.align_offset(PAGE);
    if bytes >= WORTH && skipped < bytes {
        // SAFETY: `skipped < bytes`, so the range lies in `values`, which is borrowed here alone.
        // MADV_HUGEPAGE changes neither the content nor the protection of memory; where the system
        // refuses, it returns an error and does nothing.
        unsafe {
            libc::madvise(first.add(skipped).cast(), bytes - skipped, libc::MADV_HUGEPAGE);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_: &mut [std::mem::MaybeUninit<T>]) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Larger than two large pages, from wherever they begin: only then the system is asked.
    #[test]
    #[cfg_attr(miri, ignore = "Miri takes no advice")]
    fn large_arrays_begin_with_zeros_and_keep_what_they_hold() {
        let mut bytes = filled(0u8, (5 << 20) + 1);
        assert!(bytes.iter().all(|&byte| byte == 0));
        bytes[5 << 20] = 7;
        reserve(&mut bytes, 1);
        assert!(bytes.capacity() >= 10 << 20);
        bytes.push(9);

        assert_eq!([0, 7, 9], bytes[(5 << 20) - 1..]);
        assert_eq!((5 << 20) + 2, bytes.len());
    }

    #[test]
    fn small_arrays_do_as_well() {
        let mut values = filled(3u64, 3);
        values[2] = 5;
        reserve(&mut values, 2);
        assert!(values.capacity() >= 6, "growing often costs no more than growing once");
        values.extend([6, 7]);

        assert_eq!(vec![3, 3, 5, 6, 7], values);
        assert!(filled((), 4).len() == 4 && filled(1, 0).is_empty());
    }

    /// What has room is left where it is.
    #[test]
    fn room_is_made_once() {
        let mut values = Vec::<u8>::new();
        reserve(&mut values, WORTH);
        let first = values.as_ptr();
        values.resize(WORTH - 1, 1);
        reserve(&mut values, 1);
        assert_eq!(first, values.as_ptr());
    }

    #[test]
    #[should_panic(expected = "capacity overflow")]
    fn more_than_there_is_address_space_is_refused() {
        reserve(&mut vec![1u64], usize::MAX);
    }
}
