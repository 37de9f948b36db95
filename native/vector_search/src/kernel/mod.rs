//! Inner loops, one set for each instruction set, chosen at run time.
//!
//! A loop is written once, generically, and compiled once for each level; the compiler vectorises
//! the float loops. Only what it does not find by itself (half precision, integer products, the
//! register tile of the batch) is written with intrinsics. Every level is tested against portable.

/// A function of one level as a safe function pointer.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! checked {
    ($function:expr, $($argument:ident),+) => {
        |$($argument),+| {
            // SAFETY: the machine has what the level needs, which is listed at `Tiers for Set` and
            // holds all that the functions of its set enable.
            unsafe { $function($($argument),+) }
        }
    };
}

/// The function of a level: `portable`, and `avx2` and `avx512`, or `neon`, where there are such.
macro_rules! by_level {
    ($level:expr, $($argument:ident),+) => {{
        match $level.set() {
            #[cfg(target_arch = "x86_64")]
            super::Set::Avx2 => checked!(avx2, $($argument),+),
            #[cfg(target_arch = "x86_64")]
            super::Set::Avx512 => checked!(avx512, $($argument),+),
            #[cfg(target_arch = "aarch64")]
            super::Set::Neon => checked!(neon, $($argument),+),
            // No machine has the instructions of another target.
            _ => portable,
        }
    }};
}

pub mod bits;
pub mod float;
pub mod gather;
pub mod int8;
#[cfg(target_arch = "aarch64")]
mod neon;
mod simd;
pub mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use simd::prefetch;

use crate::{Data, Metric, Vectors};
use cpu::{Feature, Tier, Tiers};
use std::ops::Range;
use std::sync::OnceLock;

/// A set of instructions that this machine has, with kernels for it.
pub type Level = cpu::Level<Set>;

/// The sets of instructions that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Plain Rust, with whatever the target always has.
    Portable,
    /// AVX2, FMA, F16C and POPCNT: x86-64 since 2013.
    Avx2,
    /// AVX-512 with VNNI and VPOPCNTDQ: since Ice Lake and Zen 4.
    Avx512,
    /// What 64-bit ARM always has.
    Neon,
}

impl Tiers for Set {
    const ALL: &'static [Tier<Self>] = {
        use Feature::{
            Avx2, Avx512bw, Avx512dq, Avx512f, Avx512vl, Avx512vnni, Avx512vpopcntdq, F16c, Fma,
            Neon, Popcnt,
        };
        &[
            Tier { set: Self::Portable, name: "portable", needs: &[] },
            Tier { set: Self::Avx2, name: "avx2", needs: &[Avx2, Fma, F16c, Popcnt] },
            Tier {
                set: Self::Avx512,
                name: "avx512",
                needs: &[
                    Avx2,
                    Fma,
                    F16c,
                    Popcnt,
                    Avx512f,
                    Avx512bw,
                    Avx512dq,
                    Avx512vl,
                    Avx512vnni,
                    Avx512vpopcntdq,
                ],
            },
            Tier { set: Self::Neon, name: "neon", needs: &[Neon] },
        ]
    };

    fn best() -> &'static OnceLock<Level> {
        static BEST: OnceLock<Level> = OnceLock::new();
        &BEST
    }
}

/// Distances from prepared queries (see [`Metric::prepare`]) to ranges of rows of one set.
#[derive(Clone, Copy)]
pub struct Scanner<'a> {
    dim: usize,
    rows: usize,
    kind: Kind<'a>,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    F32(float::Block<f32>, &'a [f32]),
    F16(float::Block<half::f16>, &'a [half::f16]),
    Bf16(float::Block<half::bf16>, &'a [half::bf16]),
    I8(float::Block<i8>, &'a [i8]),
    Signs(float::Block<u8>, &'a [u8]),
}

impl<'a> Scanner<'a> {
    /// Choose the kernel for these vectors.
    #[must_use]
    pub fn new(vectors: &Vectors<'a>, metric: Metric, level: Level) -> Self {
        let kind = match vectors.data() {
            Data::F32(x) => Kind::F32(float::f32(level, metric), x),
            Data::F16(x) => Kind::F16(float::f16(level, metric), x),
            Data::Bf16(x) => Kind::Bf16(float::bf16(level, metric), x),
            Data::I8(x) => Kind::I8(float::i8(level, metric), x),
            Data::Binary(x) => Kind::Signs(float::signs(level, metric), x),
        };
        Self { dim: vectors.dim(), rows: vectors.len(), kind }
    }

    /// Write the distances of a range of rows.
    ///
    /// # Panics
    /// If the query is not of the dimension or the range is not of the vectors.
    pub fn distances(&self, query: &[f32], range: Range<usize>, out: &mut [f32]) {
        assert!(query.len() == self.dim && range.end <= self.rows && range.len() <= out.len());
        let values = range.start * self.dim..range.end * self.dim;
        match self.kind {
            Kind::F32(run, x) => run(query, &x[values], out),
            Kind::F16(run, x) => run(query, &x[values], out),
            Kind::Bf16(run, x) => run(query, &x[values], out),
            Kind::I8(run, x) => run(query, &x[values], out),
            Kind::Signs(run, x) => run(query, &x[values.start / 8..values.end / 8], out),
        }
    }

    /// Ask for the memory of a row that will be read soon; one that does not exist is passed over.
    pub fn prefetch(&self, row: u32) {
        let values = row as usize * self.dim..(row as usize + 1) * self.dim;
        match self.kind {
            Kind::F32(_, x) => simd::prefetch::<0, _>(x.get(values).unwrap_or_default()),
            Kind::F16(_, x) => simd::prefetch::<0, _>(x.get(values).unwrap_or_default()),
            Kind::Bf16(_, x) => simd::prefetch::<0, _>(x.get(values).unwrap_or_default()),
            Kind::I8(_, x) => simd::prefetch::<0, _>(x.get(values).unwrap_or_default()),
            Kind::Signs(..) => {}
        }
    }

    /// The distance of one row.
    ///
    /// # Panics
    /// As [`Scanner::distances`].
    #[must_use]
    pub fn distance(&self, query: &[f32], row: u32) -> f32 {
        let mut out = [0.0];
        self.distances(query, row as usize..row as usize + 1, &mut out);
        out[0]
    }
}
