//! The scale and minimum of a group.

use super::round::Rounding;
use crate::Geometry;
use crate::params::Grid;
use crate::scheme::{ParamFormat, ROWS, Scheme};
use crate::simd::Isa;

/// Steps by which each end of the range may be drawn in.
const INWARD: [(f32, f32); 16] = [
    (0.0, 0.0),
    (0.25, 0.25),
    (0.5, 0.5),
    (0.75, 0.75),
    (1.0, 1.0),
    (1.25, 1.25),
    (0.5, 0.0),
    (0.0, 0.5),
    (1.0, 0.25),
    (0.25, 1.0),
    (1.0, 0.5),
    (0.5, 1.0),
    (0.75, 0.25),
    (0.25, 0.75),
    (-0.25, 0.25),
    (0.25, -0.25),
];
/// Rounds of codes from parameters and parameters from codes, after the best start.
const ROUNDS: usize = 2;

/// The grid that spans a group: its least code is the least weight, its largest the largest.
///
/// A symmetric grid spans the weight of the largest size, which gets the code 0.
///
/// # Safety
///
/// The machine must have the instructions of `I`.
#[inline(always)]
pub(super) unsafe fn range<I: Isa>(geometry: &Geometry, group: &[[f32; ROWS]]) -> Grid {
    // SAFETY: the machine has the instructions of `I` (this function's contract), and arrays of 16
    // floats are read.
    unsafe {
        // Four at a time, for each waits for the one before it.
        let first = I::load(group[0].as_ptr());
        let (mut lows, mut highs) = ([first; 4], [first; 4]);
        for some in group.chunks(4) {
            for (w, (low, high)) in some.iter().zip(lows.iter_mut().zip(&mut highs)) {
                let w = I::load(w.as_ptr());
                (*low, *high) = (I::min(*low, w), I::max(*high, w));
            }
        }
        let low = I::min(I::min(lows[0], lows[1]), I::min(lows[2], lows[3]));
        let high = I::max(I::max(highs[0], highs[1]), I::max(highs[2], highs[3]));
        let scheme = &geometry.scheme;
        let zero = I::splat(0.0);
        let (scale, minimum) = if scheme.symmetric() {
            let extreme = I::less(high, I::sub(zero, low), low, high);
            let scale = I::div(extreme, I::splat(-scheme.zero_code()));
            (scale, extreme)
        } else {
            // Integers of minima have no sign.
            let low = if scheme.params() == ParamFormat::F16 { low } else { I::min(low, zero) };
            (I::div(I::sub(high, low), I::splat(scheme.max_code())), low)
        };
        grid::<I>(scale, minimum)
    }
}

/// The grid of the least squared error that was found, starting at the one that spans the group.
///
/// # Safety
///
/// As [`range`].
#[inline(always)]
pub(super) unsafe fn search<I: Isa>(
    geometry: &Geometry,
    group: &[[f32; ROWS]],
    importance: &[f32],
    ends: &Grid,
) -> Grid {
    // SAFETY: the machine has the instructions of `I` (this function's contract), and arrays of 16
    // floats are read.
    unsafe {
        let fit = Fit::<I>::new(geometry, group, importance);
        let (scale, minimum) = (I::load(ends.scale.as_ptr()), I::load(ends.minimum.as_ptr()));
        let mut best = (scale, minimum, I::splat(-1.0));
        for (low, high) in INWARD {
            let inward = I::splat(1.0 - (low + high) / geometry.scheme.max_code());
            let start = if geometry.scheme.symmetric() {
                I::mul(minimum, inward)
            } else {
                I::fma(scale, I::splat(low), minimum)
            };
            best = better::<I>(best, fit.refit(I::mul(scale, inward), start));
        }
        for _ in 0..ROUNDS {
            best = better::<I>(best, fit.refit(best.0, best.1));
        }
        // What is explained is a difference of large numbers where weights are nearly equal, and
        // float16 may lose more than was gained; what integers lose is not known yet.
        let found = fit.stored(&geometry.scheme, grid::<I>(best.0, best.1));
        let spanned = fit.stored(&geometry.scheme, *ends);
        grid::<I>(
            I::less(found.2, spanned.2, found.0, spanned.0),
            I::less(found.2, spanned.2, found.1, spanned.1),
        )
    }
}

/// A grid from registers.
///
/// # Safety
///
/// As [`range`].
#[inline(always)]
unsafe fn grid<I: Isa>(scale: I::Floats, minimum: I::Floats) -> Grid {
    let mut grid = Grid::default();
    // SAFETY: the machine has the instructions of `I` (this function's contract), and arrays of 16
    // floats are written.
    unsafe {
        I::store(grid.scale.as_mut_ptr(), scale);
        I::store(grid.minimum.as_mut_ptr(), minimum);
    }
    grid
}

/// A scale, a minimum, and how much of the group's square they explain, or leave.
type Found<I> = (<I as Isa>::Floats, <I as Isa>::Floats, <I as Isa>::Floats);

/// In each row the one that explains more.
///
/// # Safety
///
/// As [`range`].
#[inline(always)]
unsafe fn better<I: Isa>(a: Found<I>, b: Found<I>) -> Found<I> {
    // SAFETY: the machine has the instructions of `I` (this function's contract).
    unsafe {
        (I::less(a.2, b.2, b.0, a.0), I::less(a.2, b.2, b.1, a.1), I::less(a.2, b.2, b.2, a.2))
    }
}

/// Weighed sums of a group that its codes do not change, and the group.
pub(super) struct Fit<'a, I: Isa> {
    group: &'a [[f32; ROWS]],
    importance: &'a [f32],
    symmetric: bool,
    signed: bool,
    largest: f32,
    zero: I::Floats,
    /// Of importances, and of importances times weights.
    ones: I::Floats,
    weights: I::Floats,
}

/// Weighed sums with codes: of q, of q^2, of q w; and the squared error.
pub(super) struct Sums<I: Isa> {
    pub codes: I::Floats,
    pub squares: I::Floats,
    pub products: I::Floats,
    pub error: I::Floats,
}

impl<'a, I: Isa> Fit<'a, I> {
    /// Sums over a group that do not depend on codes.
    ///
    /// # Safety
    ///
    /// The machine must have the instructions of `I`.
    #[inline(always)]
    pub unsafe fn new(
        geometry: &Geometry,
        group: &'a [[f32; ROWS]],
        importance: &'a [f32],
    ) -> Self {
        let importance = &importance[..group.len()];
        // SAFETY: the machine has the instructions of `I` (this function's contract), and weights
        // are arrays of 16 floats.
        unsafe {
            let (mut ones, mut weights) = (I::splat(0.0), I::splat(0.0));
            for (w, &h) in group.iter().zip(importance) {
                ones = I::add(ones, I::splat(h));
                weights = I::fma(I::splat(h), I::load(w.as_ptr()), weights);
            }
            let scheme = &geometry.scheme;
            let symmetric = scheme.symmetric();
            let signed = scheme.params() == ParamFormat::F16;
            let zero = I::splat(if symmetric { scheme.zero_code() } else { 0.0 });
            let largest = scheme.max_code();
            Self { group, importance, symmetric, signed, largest, zero, ones, weights }
        }
    }

    /// Sums over importances, and over importances times weights.
    #[inline(always)]
    pub fn constant(&self) -> (I::Floats, I::Floats) {
        (self.ones, self.weights)
    }

    /// Sums under a grid; the error only with `ERROR`.
    ///
    /// # Safety
    ///
    /// As [`Fit::new`].
    #[inline(always)]
    pub unsafe fn sums<const ERROR: bool>(&self, scale: I::Floats, minimum: I::Floats) -> Sums<I> {
        // SAFETY: the machine has the instructions of `I` (this function's contract), and arrays of
        // 16 floats are read.
        unsafe {
            let rounding = Rounding::<I>::new(scale, minimum, self.largest);
            let none = I::splat(0.0);
            let mut sums = Sums { codes: none, squares: none, products: none, error: none };
            for (w, &h) in self.group.iter().zip(self.importance) {
                let (w, h) = (I::load(w.as_ptr()), I::splat(h));
                let code = rounding.code(w);
                let q = I::sub(code, self.zero);
                let hq = I::mul(h, q);
                sums.codes = I::add(sums.codes, hq);
                sums.squares = I::fma(hq, q, sums.squares);
                sums.products = I::fma(hq, w, sums.products);
                if ERROR {
                    let e = I::sub(I::sub(w, minimum), I::mul(scale, code));
                    sums.error = I::fma(I::mul(h, e), e, sums.error);
                }
            }
            sums
        }
    }

    /// Scale and minimum as they are stored, and the squared error under them.
    ///
    /// # Safety
    ///
    /// As [`Fit::new`].
    #[inline(always)]
    unsafe fn stored(&self, scheme: &Scheme, mut grid: Grid) -> Found<I> {
        if self.signed {
            grid.round_halves(scheme);
        }
        // SAFETY: the machine has the instructions of `I` (this function's contract), and arrays of
        // 16 floats are read.
        unsafe {
            let (scale, minimum) = (I::load(grid.scale.as_ptr()), I::load(grid.minimum.as_ptr()));
            (scale, minimum, self.sums::<true>(scale, minimum).error)
        }
    }

    /// The least-squares scale and minimum for the codes that a grid gives.
    ///
    /// # Safety
    ///
    /// As [`Fit::new`].
    #[inline(always)]
    unsafe fn refit(&self, scale: I::Floats, minimum: I::Floats) -> Found<I> {
        // SAFETY: the machine has the instructions of `I` (this function's contract).
        unsafe {
            let sums = self.sums::<false>(scale, minimum);
            let none = I::splat(0.0);
            // Without a minimum: s = sum(q w) / sum(q^2), which explains s sum(q w).
            let alone = I::div(sums.products, sums.squares);
            let alone = I::less(none, sums.squares, alone, none);
            let explains = I::mul(alone, sums.products);
            if self.symmetric {
                return (alone, I::sub(none, I::mul(alone, self.zero)), explains);
            }
            let determinant =
                I::sub(I::mul(self.ones, sums.squares), I::mul(sums.codes, sums.codes));
            let cross = I::sub(I::mul(self.ones, sums.products), I::mul(sums.codes, self.weights));
            let fitted = I::div(cross, determinant);
            let offset = I::div(I::sub(self.weights, I::mul(fitted, sums.codes)), self.ones);
            let both = I::fma(fitted, sums.products, I::mul(offset, self.weights));
            // Where all codes are equal there is no fit: it must not win.
            let both = I::less(none, determinant, both, I::splat(-1.0));
            if self.signed {
                return (fitted, offset, both);
            }
            (
                I::less(none, offset, alone, fitted),
                I::min(offset, none),
                I::less(none, offset, explains, both),
            )
        }
    }
}
