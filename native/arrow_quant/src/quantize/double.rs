//! Scales and minima as integers, under float16s of their own.

use super::grid::Fit;
use crate::Geometry;
use crate::exponents::{Exponents, choose};
use crate::params::{Grid, round_half, unit, write_halves, write_integers};
use crate::scheme::{ParamFormat, ROWS};
use crate::simd::Isa;

/// Rounds of integers from float16s and float16s from integers.
const ROUNDS: usize = 2;

type Lanes = [f32; ROWS];

/// Store integer parameters under exponents; grids become what was stored.
///
/// # Safety
///
/// The machine must have the instructions of `I`.
#[inline(always)]
pub(super) unsafe fn write<I: Isa>(
    geometry: &Geometry,
    weights: &[[f32; ROWS]],
    importance: Option<&[f32]>,
    grids: &mut [Grid],
    shifts: &Exponents,
    out: &mut [u8],
) -> Exponents {
    let format = geometry.scheme.params();
    let span = geometry.groups_of_super();
    let levels = f32::from(format.levels().unwrap_or(0));
    let mut found = Vec::with_capacity(grids.len().div_ceil(span));
    for (s, grids) in grids.chunks(span).enumerate() {
        let largest = |of: fn(&Grid) -> Lanes| {
            let mut above = grids
                .iter()
                .map(of)
                .fold([0f32; ROWS], |a, b| std::array::from_fn(|i| a[i].max(b[i])));
            above = above.map(|x| x / levels / unit(format));
            round_half(&mut above);
            above
        };
        let mut above =
            Above { scale: largest(|g| g.scale), minimum: largest(|g| g.minimum.map(|m| -m)) };
        let mut integers: Vec<Grid> =
            grids.iter().map(|grid| above.integers(grid, format, levels)).collect();
        if let Some(importance) = importance {
            let first = s * span * geometry.group;
            let fits: Vec<Fit<'_, I>> = weights[first..]
                .chunks(geometry.group)
                .zip(importance[first..].chunks(geometry.group))
                .take(grids.len())
                // SAFETY: the machine has the instructions of `I` (this function's contract).
                .map(|(group, importance)| unsafe { Fit::new(geometry, group, importance) })
                .collect();
            for round in 0..ROUNDS {
                // SAFETY: the machine has the instructions of `I` (this function's contract).
                unsafe {
                    if round > 0 {
                        above.refit(&fits, &integers, format);
                    }
                    for (fit, integers) in fits.iter().zip(&mut integers) {
                        nearby(fit, &above, integers, format, levels);
                    }
                }
            }
        }
        found.push((above, integers));
    }
    let halves = found.iter().map(|(above, _)| (&above.scale, &above.minimum));
    let exponents = choose(halves, unit(format), shifts);
    for (s, ((mut above, integers), grids)) in
        found.into_iter().zip(grids.chunks_mut(span)).enumerate()
    {
        let at = geometry.super_at(s * span);
        write_halves(&mut above.scale, &exponents, &mut out[at..]);
        write_halves(&mut above.minimum, &exponents, &mut out[at + 2 * ROWS..]);
        for (g, (grid, integers)) in grids.iter_mut().zip(&integers).enumerate() {
            write_integers(format, integers, &mut out[geometry.group_at(s * span + g)..]);
            *grid = above.grid(integers, format);
        }
    }
    exponents
}

/// The float16s above some groups.
struct Above {
    scale: Lanes,
    minimum: Lanes,
}

impl Above {
    /// The nearest integers of a grid.
    fn integers(&self, grid: &Grid, format: ParamFormat, levels: f32) -> Grid {
        let nearest = |x: f32, above: f32| {
            let step = above * unit(format);
            if step > 0.0 { (x / step).round_ties_even().clamp(0.0, levels) } else { 0.0 }
        };
        Grid {
            scale: std::array::from_fn(|i| nearest(grid.scale[i], self.scale[i])),
            minimum: std::array::from_fn(|i| nearest(-grid.minimum[i], self.minimum[i])),
        }
    }

    /// What integers stand for.
    fn grid(&self, integers: &Grid, format: ParamFormat) -> Grid {
        let unit = unit(format);
        Grid {
            scale: std::array::from_fn(|i| integers.scale[i] * (self.scale[i] * unit)),
            minimum: std::array::from_fn(|i| integers.minimum[i] * (self.minimum[i] * -unit)),
        }
    }

    /// The least-squares float16s for the integers, and for the codes that they give.
    ///
    /// # Safety
    ///
    /// As [`write`].
    #[inline(always)]
    unsafe fn refit<I: Isa>(
        &mut self,
        fits: &[Fit<'_, I>],
        integers: &[Grid],
        format: ParamFormat,
    ) {
        // SAFETY: the machine has the instructions of `I` (this function's contract), and arrays of
        // 16 floats are read and written.
        unsafe {
            // w = scale * u q - minimum * v, summed over all groups.
            let none = I::splat(0.0);
            let (mut uu, mut uv, mut vv, mut uw, mut vw) = (none, none, none, none, none);
            for (fit, integers) in fits.iter().zip(integers) {
                let grid = self.grid(integers, format);
                let sums =
                    fit.sums::<false>(I::load(grid.scale.as_ptr()), I::load(grid.minimum.as_ptr()));
                let (ones, weights) = fit.constant();
                let u = I::load(integers.scale.as_ptr());
                let v = I::load(integers.minimum.as_ptr());
                uu = I::fma(I::mul(u, u), sums.squares, uu);
                uv = I::fma(I::mul(u, v), sums.codes, uv);
                vv = I::fma(I::mul(v, v), ones, vv);
                uw = I::fma(u, sums.products, uw);
                vw = I::fma(v, weights, vw);
            }
            let determinant = I::sub(I::mul(uu, vv), I::mul(uv, uv));
            let scale = I::div(I::sub(I::mul(uw, vv), I::mul(vw, uv)), determinant);
            let minimum = I::div(I::sub(I::mul(uw, uv), I::mul(vw, uu)), determinant);
            let per_unit = I::splat(1.0 / unit(format));
            // Where there is no fit, or none without a sign, all stays.
            let (mut s, mut m) = ([0.0; ROWS], [0.0; ROWS]);
            I::store(s.as_mut_ptr(), I::mul(scale, per_unit));
            I::store(m.as_mut_ptr(), I::mul(minimum, per_unit));
            for i in 0..ROWS {
                if s[i] > 0.0 && m[i] >= 0.0 && s[i].is_finite() && m[i].is_finite() {
                    (self.scale[i], self.minimum[i]) = (s[i], m[i]);
                }
            }
            round_half(&mut self.scale);
            round_half(&mut self.minimum);
        }
    }
}

/// Try the integers beside those of a group, and keep the best in each row.
///
/// # Safety
///
/// As [`write`].
#[inline(always)]
unsafe fn nearby<I: Isa>(
    fit: &Fit<'_, I>,
    above: &Above,
    integers: &mut Grid,
    format: ParamFormat,
    levels: f32,
) {
    // SAFETY: the machine has the instructions of `I` (this function's contract), and arrays of 16
    // floats are read and written.
    unsafe {
        let unit = unit(format);
        let (zero, largest) = (I::splat(0.0), I::splat(levels));
        let (scale, minimum) = (I::load(above.scale.as_ptr()), I::load(above.minimum.as_ptr()));
        let (scale, minimum) = (I::mul(scale, I::splat(unit)), I::mul(minimum, I::splat(-unit)));
        let (u, v) = (I::load(integers.scale.as_ptr()), I::load(integers.minimum.as_ptr()));
        let mut best = (u, v, I::splat(f32::INFINITY));
        for du in [-1.0, 0.0, 1.0] {
            for dv in [-1.0, 0.0, 1.0] {
                let u = I::min(I::max(I::add(u, I::splat(du)), zero), largest);
                let v = I::min(I::max(I::add(v, I::splat(dv)), zero), largest);
                let error = fit.sums::<true>(I::mul(u, scale), I::mul(v, minimum)).error;
                best = (
                    I::less(error, best.2, u, best.0),
                    I::less(error, best.2, v, best.1),
                    I::min(best.2, error),
                );
            }
        }
        I::store(integers.scale.as_mut_ptr(), best.0);
        I::store(integers.minimum.as_mut_ptr(), best.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Nearest, and the largest of them the last, at every size.
        #[test]
        fn integers_are_the_nearest(
            parts in prop::collection::vec(0f32..=1.0, ROWS), exponent in -60i32..60,
            fine in any::<bool>(),
        ) {
            let format = if fine { ParamFormat::U6 } else { ParamFormat::U4 };
            let levels = f32::from(format.levels().unwrap());
            let largest = 1.2345 * 2f32.powi(exponent);
            let mut above = [largest / levels / unit(format); ROWS];
            round_half(&mut above);
            let mut scale: Lanes = std::array::from_fn(|i| parts[i] * largest);
            scale[3] = largest;
            let grid = Grid { scale, minimum: scale.map(|x| -x) };
            let above = Above { scale: above, minimum: above };
            let integers = above.integers(&grid, format, levels);
            let back = above.grid(&integers, format);

            prop_assert_eq!(levels, integers.scale[3]);
            for (i, wanted) in scale.iter().enumerate() {
                let step = above.scale[i] * unit(format);
                prop_assert!((0.0..=levels).contains(&integers.scale[i]));
                prop_assert!((back.scale[i] - wanted).abs() <= 0.5001 * step + largest / 2000.0);
                prop_assert_eq!(integers.scale[i], integers.minimum[i]);
                prop_assert_eq!(back.scale[i], -back.minimum[i]);
            }
            // What is beyond the last integer must not run into the bits of others.
            let half = above.scale.map(|x| x / 2.0);
            let beyond = Above { scale: half, minimum: half }.integers(&grid, format, levels);
            prop_assert_eq!(levels, beyond.scale[3]);
        }
    }
}
