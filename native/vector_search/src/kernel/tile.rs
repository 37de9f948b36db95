//! A register tile of a few rows times a panel of queries: the inner loop of a batch.

#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::simd::{Portable, Simd};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use super::{Level, Set};

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
    match level.set() {
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => Tile { rows: 6, queries: 16, run: checked!(avx2::<SQUARES>, r, p, o) },
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => Tile { rows: 12, queries: 32, run: checked!(avx512::<SQUARES>, r, p, o) },
        #[cfg(target_arch = "aarch64")]
        Set::Neon => Tile { rows: 6, queries: 16, run: checked!(neon::<SQUARES>, r, p, o) },
        _ => Tile { rows: 4, queries: 8, run: portable::<SQUARES> },
    }
}

/// Multiply `R` rows with `H` vectors of queries, all accumulators in registers.
///
/// # Safety
///
/// The machine must have the instructions of `S`, and there be `R` rows, each of the panel's
/// dimension. `H * LANES` must be at most [`MAX_QUERIES`].
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const H: usize, const SQUARES: bool>(
    rows: &[&[f32]],
    panel: &[f32],
    out: &mut Sums,
) {
    // SAFETY: the machine has the instructions of `S`, and there are `R` rows of the panel's
    // dimension (this function's contract). The panel holds `H` vectors for each dimension, each
    // row one value, and a row of `out` `MAX_QUERIES` values, which are at least `H` vectors.
    unsafe {
        let pointers: [*const f32; R] = std::array::from_fn(|r| rows[r].as_ptr());
        let mut sums = [[S::zero(); H]; R];
        for i in 0..panel.len() / (H * S::LANES) {
            let at = panel.as_ptr().add(i * H * S::LANES);
            let queries: [S::V; H] = std::array::from_fn(|h| S::f32(at.add(h * S::LANES)));
            for (sums, row) in sums.iter_mut().zip(pointers) {
                let x = S::splat(*row.add(i));
                for (sum, q) in sums.iter_mut().zip(queries) {
                    *sum = if SQUARES {
                        let difference = S::sub(q, x);
                        S::fma(difference, difference, *sum)
                    } else {
                        S::fma(q, x, *sum)
                    };
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            for (h, sum) in sums.into_iter().enumerate() {
                S::store(out.as_mut_ptr().add(h * S::LANES), sum);
            }
        }
    }
}

fn portable<const SQUARES: bool>(rows: &[&[f32]], panel: &[f32], out: &mut Sums) {
    // SAFETY: portable lanes need no instructions of a set, `Tile::run` compared the number of rows
    // and their lengths with the 4 and the panel that `choose` names, and 1 x 8 is at most
    // `MAX_QUERIES`.
    unsafe { tile::<Portable, 4, 1, SQUARES>(rows, panel, out) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<const SQUARES: bool>(rows: &[&[f32]], panel: &[f32], out: &mut Sums) {
    // SAFETY: this function enables AVX2 and FMA, all that is used of `Avx2`; `Tile::run` compared
    // the number of rows and their lengths with the 6 and the panel that `choose` names, and 2 x 8
    // is at most `MAX_QUERIES`.
    unsafe { tile::<Avx2, 6, 2, SQUARES>(rows, panel, out) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512<const SQUARES: bool>(rows: &[&[f32]], panel: &[f32], out: &mut Sums) {
    // SAFETY: this function enables AVX-512 F, all that is used of `Avx512`; `Tile::run` compared
    // the number of rows and their lengths with the 12 and the panel that `choose` names, and 2 x
    // 16 is at most `MAX_QUERIES`.
    unsafe { tile::<Avx512, 12, 2, SQUARES>(rows, panel, out) };
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon<const SQUARES: bool>(rows: &[&[f32]], panel: &[f32], out: &mut Sums) {
    // SAFETY: this function enables NEON, which `Neon` needs; `Tile::run` compared the number of
    // rows and their lengths with the 6 and the panel that `choose` names, and 2 x 8 is at most
    // `MAX_QUERIES`.
    unsafe { tile::<Neon, 6, 2, SQUARES>(rows, panel, out) };
}
