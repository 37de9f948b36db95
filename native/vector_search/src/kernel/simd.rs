//! Vectors of floats in registers, and how stored elements are loaded into them.

use half::{bf16, f16};

/// One instruction set's vector of `f32`.
///
/// # Safety
///
/// An implementation uses no instructions beyond its set, and reads and writes exactly the `LANES`
/// values that a method names, at any alignment.
///
/// Who calls a method guarantees that the machine has the instructions of the set, and that each
/// pointer is valid for `LANES` values. The functions of each level in this module enable the set
/// that they use, and run only on a machine that has it (see [`super::Set`]).
pub unsafe trait Simd {
    /// The register.
    type V: Copy;
    /// Values in it.
    const LANES: usize;
    /// All zero.
    unsafe fn zero() -> Self::V;
    /// The same value in all lanes.
    unsafe fn splat(x: f32) -> Self::V;
    /// `a * b + c`.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// The sum of all lanes.
    unsafe fn sum(v: Self::V) -> f32;
    /// Read single precision.
    unsafe fn f32(from: *const f32) -> Self::V;
    /// Write single precision.
    unsafe fn store(to: *mut f32, v: Self::V);
    /// Read half precision.
    unsafe fn f16(from: *const f16) -> Self::V;
    /// Read bfloat16.
    unsafe fn bf16(from: *const bf16) -> Self::V;
    /// Read small integers.
    unsafe fn i8(from: *const i8) -> Self::V;
    /// Read bits as +1 (set) or -1, least significant first.
    unsafe fn signs(from: *const u8) -> Self::V;
}

/// An element type: how many values an item holds, and how to read them.
pub trait Element {
    /// What is stored.
    type Item: Copy;
    /// Values in one item: 1, or 8 for packed bits.
    const VALUES: usize;
    /// Read `LANES` values starting at value `at`, a multiple of `LANES`.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `S`, and `from` be valid for reads of values up to
    /// `at + LANES`.
    unsafe fn load<S: Simd>(from: *const Self::Item, at: usize) -> S::V;
    /// The value at a position.
    fn one(items: &[Self::Item], at: usize) -> f32;
}

macro_rules! element {
    ($(#[$doc:meta])* $name:ident, $item:ty, $values:literal, $load:ident, $one:expr) => {
        $(#[$doc])*
        pub struct $name;
        impl Element for $name {
            type Item = $item;
            const VALUES: usize = $values;
            #[inline(always)]
            unsafe fn load<S: Simd>(from: *const $item, at: usize) -> S::V {
                // SAFETY: the machine has the instructions of `S`, and `from` is valid up to the
                // last of the values read (contract of `Element::load`).
                unsafe { S::$load(from.add(at / $values)) }
            }
            #[inline(always)]
            fn one(items: &[$item], at: usize) -> f32 {
                $one(items, at)
            }
        }
    };
}

element!(/** Single precision. */ F32, f32, 1, f32, |x: &[f32], i: usize| x[i]);
element!(/** Half precision. */ F16, f16, 1, f16, |x: &[f16], i: usize| x[i].to_f32());
element!(/** bfloat16. */ Bf16, bf16, 1, bf16, |x: &[bf16], i: usize| x[i].to_f32());
element!(/** Small integers. */ I8, i8, 1, i8, |x: &[i8], i: usize| f32::from(x[i]));
element!(/** Packed signs. */ Signs, u8, 8, signs, |x: &[u8], i: usize| sign(x[i / 8], i % 8));

/// One packed sign.
#[inline(always)]
fn sign(byte: u8, bit: usize) -> f32 {
    if byte >> bit & 1 == 1 { 1.0 } else { -1.0 }
}

/// Eight lanes in plain Rust; the compiler uses whatever the target always has.
pub struct Portable;

// SAFETY: the methods use what the target always has, and read or write eight values, unaligned.
unsafe impl Simd for Portable {
    type V = [f32; 8];
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn zero() -> [f32; 8] {
        [0.0; 8]
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 8] {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn sum(v: [f32; 8]) -> f32 {
        let four: [f32; 4] = std::array::from_fn(|i| v[i] + v[i + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }
    #[inline(always)]
    unsafe fn f32(from: *const f32) -> [f32; 8] {
        // SAFETY: `from` is valid for reads of 8 values (contract of `Simd`).
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: [f32; 8]) {
        // SAFETY: `to` is valid for writes of 8 values (contract of `Simd`).
        unsafe { to.cast::<[f32; 8]>().write_unaligned(v) };
    }
    #[inline(always)]
    unsafe fn f16(from: *const f16) -> [f32; 8] {
        // SAFETY: `from` is valid for reads of 8 values (contract of `Simd`).
        unsafe { from.cast::<[f16; 8]>().read_unaligned() }.map(f16::to_f32)
    }
    #[inline(always)]
    unsafe fn bf16(from: *const bf16) -> [f32; 8] {
        // SAFETY: `from` is valid for reads of 8 values (contract of `Simd`).
        let values = unsafe { from.cast::<[bf16; 8]>().read_unaligned() };
        values.map(|x| f32::from_bits(u32::from(x.to_bits()) << 16))
    }
    #[inline(always)]
    unsafe fn i8(from: *const i8) -> [f32; 8] {
        // SAFETY: `from` is valid for reads of 8 values (contract of `Simd`).
        unsafe { from.cast::<[i8; 8]>().read_unaligned() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn signs(from: *const u8) -> [f32; 8] {
        // SAFETY: `from` is valid for reads of 8 bits, which are one byte (contract of `Simd`).
        let byte = unsafe { *from };
        std::array::from_fn(|i| sign(byte, i))
    }
}

/// Prefetch a whole row, or what lies as far as `AHEAD` bytes behind it; whether anything lies
/// there does not matter.
#[inline(always)]
pub fn prefetch<const AHEAD: usize, T>(row: &[T]) {
    for line in row.chunks(64 / size_of::<T>().max(1)) {
        let at = line.as_ptr().cast::<i8>().wrapping_add(AHEAD);
        // SAFETY: SSE is there on every x86-64, and a prefetch faults at no address.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(at);
        }
        // SAFETY: a prefetch faults at no address, and changes neither memory nor registers.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) at,
                options(nostack, preserves_flags, readonly));
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = at;
    }
}
