//! Large blocks of memory in large pages, which cost fewer faults and fewer address look-ups.

/// Below this size large pages gain nothing.
const WORTH: usize = 4 << 20;

/// Makes room for `additional` more, in large pages where the system has them and it is worth it.
pub fn reserve<T>(vector: &mut Vec<T>, additional: usize) {
    vector.reserve(additional);
    let spare = vector.spare_capacity_mut();
    let bytes = size_of_val(spare);
    if bytes >= WORTH {
        advise(spare.as_mut_ptr().cast(), bytes);
    }
}

#[cfg(target_os = "linux")]
fn advise(start: *mut u8, bytes: usize) {
    const PAGE: usize = 4096;
    let skip = start.align_offset(PAGE);
    if skip < bytes {
        // SAFETY: the range lies inside one allocation, and the advice changes no content. That it
        // is not followed is no error.
        unsafe {
            libc::madvise(start.add(skip).cast(), bytes - skip, libc::MADV_HUGEPAGE);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: *mut u8, _: usize) {}

/// `count` values, all the same.
pub fn filled<T: Clone>(value: T, count: usize) -> Vec<T> {
    let mut vector = Vec::new();
    reserve(&mut vector, count);
    vector.resize(count, value);
    vector
}
