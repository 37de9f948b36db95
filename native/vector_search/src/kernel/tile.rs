//! A few rows against a panel of queries, held in registers: the inner loop of a batch.

use super::Level;
#[cfg(target_arch = "x86_64")]
use super::Tier;

/// Rows a tile takes at most, over all levels.
pub const MAX_ROWS: usize = 12;
/// Queries a tile takes at most, over all levels.
pub const MAX_QUERIES: usize = 32;

/// Sums for each row and query of a tile, `MAX_QUERIES` apart.
pub type Sums = [[f32; MAX_QUERIES]; MAX_ROWS];

/// One level's tile.
#[derive(Clone, Copy)]
pub struct Tile {
    /// Rows it takes.
    pub rows: usize,
    /// Queries it takes.
    pub queries: usize,
    run: fn(rows: &[&[f32]], panel: &[f32], out: &mut Sums),
}

impl Tile {
    /// The tile of a level; dot products, or squared differences.
    #[must_use]
    pub fn new(level: Level, squares: bool) -> Self {
        if squares { choose::<true>(level) } else { choose::<false>(level) }
    }

    /// Compute a tile. `panel` holds, for each dimension, one value of each query.
    ///
    /// # Panics
    /// If there are not exactly `self.rows` rows of one dimension and a panel to match.
    pub fn run(&self, rows: &[&[f32]], panel: &[f32], out: &mut Sums) {
        let dim = panel.len() / self.queries;
        assert!(rows.len() == self.rows && rows.iter().all(|row| row.len() == dim));
        assert!(panel.len() == dim * self.queries);
        (self.run)(rows, panel, out);
    }
}

fn choose<const SQUARES: bool>(level: Level) -> Tile {
    #[cfg(target_arch = "x86_64")]
    match level.0 {
        Tier::Portable => Tile { rows: 4, queries: 8, run: portable::<SQUARES> },
        Tier::Avx2 => Tile { rows: 6, queries: 16, run: checked!(avx2::<SQUARES>, r, p, o) },
        Tier::Avx512 => Tile { rows: 12, queries: 32, run: checked!(avx512::<SQUARES>, r, p, o) },
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = level;
        Tile { rows: 4, queries: 8, run: portable::<SQUARES> }
    }
}

fn portable<const SQUARES: bool>(rows: &[&[f32]], panel: &[f32], out: &mut Sums) {
    let mut sums = [[0f32; 8]; 4];
    let (panel, _) = panel.as_chunks::<8>();
    for (i, queries) in panel.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(rows) {
            let x = row[i];
            for (sum, &q) in sums.iter_mut().zip(queries) {
                *sum += if SQUARES { (q - x) * (q - x) } else { q * x };
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(&sums) {
        out[..8].copy_from_slice(sums);
    }
}

/// One register tile of `$rows` rows and two vectors of `$lanes` queries.
#[cfg(target_arch = "x86_64")]
macro_rules! tile {
    ($name:ident, $features:literal, $rows:literal, $lanes:literal, $zero:ident, $load:ident,
     $store:ident, $set:ident, $fma:ident, $sub:ident) => {
        /// # Safety
        /// There are as many rows as the tile takes, each of the panel's dimension.
        #[target_feature(enable = $features)]
        unsafe fn $name<const SQUARES: bool>(rows: &[&[f32]], panel: &[f32], out: &mut Sums) {
            use std::arch::x86_64::{$fma, $load, $set, $store, $sub, $zero};
            let pointers: [*const f32; $rows] = std::array::from_fn(|i| rows[i].as_ptr());
            let mut sums = [[$zero(); 2]; $rows];
            for i in 0..panel.len() / (2 * $lanes) {
                // SAFETY: the panel holds 2 * lanes values for each dimension, and each row one.
                unsafe {
                    let at = panel.as_ptr().add(i * 2 * $lanes);
                    let q = [$load(at), $load(at.add($lanes))];
                    for r in 0..$rows {
                        let x = $set(*pointers[r].add(i));
                        for h in 0..2 {
                            sums[r][h] = if SQUARES {
                                let difference = $sub(q[h], x);
                                $fma(difference, difference, sums[r][h])
                            } else {
                                $fma(q[h], x, sums[r][h])
                            };
                        }
                    }
                }
            }
            for (out, sums) in out.iter_mut().zip(sums) {
                for (half, sum) in sums.into_iter().enumerate() {
                    // SAFETY: two vectors are at most `MAX_QUERIES` values.
                    unsafe { $store(out.as_mut_ptr().add(half * $lanes), sum) };
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tile!(
    avx2,
    "avx2,fma",
    6,
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_sub_ps
);
#[cfg(target_arch = "x86_64")]
tile!(
    avx512,
    "avx512f",
    12,
    16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_sub_ps
);
