//! Scales and minima, to and from the bytes that are stored.

use crate::Geometry;
use crate::exponents::{Exponents, power};
use crate::scheme::{ParamFormat, ROWS, Scheme};
use crate::simd::Isa;
use half::f16;

/// What the codes of one group mean, for sixteen rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grid {
    pub scale: [f32; ROWS],
    pub minimum: [f32; ROWS],
}

impl Grid {
    /// Make it what float16s keep of it, under an exponent that suits its row.
    pub fn round_halves(&mut self, scheme: &Scheme) {
        round_half(&mut self.scale);
        if scheme.symmetric() {
            self.minimum = self.scale.map(|scale| scale * -scheme.zero_code());
        } else {
            round_half(&mut self.minimum);
        }
    }
}

/// Round to the digits of a float16, whatever the exponent: ties to even.
pub(crate) fn round_half(x: &mut [f32; ROWS]) {
    *x = x.map(|x| {
        let bits = x.to_bits();
        f32::from_bits(bits.wrapping_add(0xfff + (bits >> 13 & 1)) & !0x1fff)
    });
}

/// Store numbers as float16s under exponents; they become what was stored.
pub(crate) fn write_halves(x: &mut [f32; ROWS], exponents: &Exponents, out: &mut [u8]) {
    for ((x, &exponent), out) in x.iter_mut().zip(exponents).zip(out.as_chunks_mut::<2>().0) {
        let half = f16::from_f32(*x * power(-exponent));
        *x = half.to_f32() * power(exponent);
        *out = half.to_le_bytes();
    }
}

/// What one of the integers of a format stands for, in units of the float16 above it.
pub(crate) fn unit(format: ParamFormat) -> f32 {
    format.levels().map_or(1.0, |levels| 1.0 / (f32::from(levels) + 1.0))
}

/// Dequantize the scale and minimum of a group, from the parameters of its sixteen rows.
///
/// # Safety
///
/// The machine must have the instructions of `I`.
///
/// # Panics
///
/// If the parameters are not as long as the geometry says, or there is no such group.
#[inline(always)]
pub(crate) unsafe fn read<I: Isa>(
    geometry: &Geometry,
    params: &[u8],
    group: usize,
) -> (I::Floats, I::Floats) {
    assert!(params.len() == geometry.param_bytes && group < geometry.groups());
    // SAFETY: the machine has the instructions of `I` (this function's contract). The group exists
    // and `params` has `param_bytes`, as was just checked, and `Geometry` puts all that is read
    // here of a group, 32 to 64 bytes at `group_at` and 64 at `super_at`, into these.
    unsafe {
        let at = params.as_ptr().add(geometry.group_at(group));
        if geometry.scheme.params() == ParamFormat::F16 {
            let scale = I::halves(at);
            let minimum = if geometry.scheme.symmetric() {
                I::mul(scale, I::splat(-geometry.scheme.zero_code()))
            } else {
                I::halves(at.add(2 * ROWS))
            };
            return (scale, minimum);
        }
        let above = params.as_ptr().add(geometry.super_at(group));
        let (scale, minimum) = integers::<I>(geometry.scheme.params(), at);
        let unit = unit(geometry.scheme.params());
        let (scale, minimum) = (I::to_floats(scale), I::to_floats(minimum));
        (
            I::mul(scale, I::mul(I::halves(above), I::splat(unit))),
            I::mul(minimum, I::mul(I::halves(above.add(2 * ROWS)), I::splat(-unit))),
        )
    }
}

/// Unpack the integer scales and minima of a group in U6 or U4.
///
/// # Safety
///
/// The machine must have the instructions of `I`, and `at` be valid for reads of 24 bytes in U6, or
/// of 16 in U4.
#[inline(always)]
pub(crate) unsafe fn integers<I: Isa>(format: ParamFormat, at: *const u8) -> (I::Ints, I::Ints) {
    // SAFETY: the machine has the instructions of `I`, and `at` is valid for 16 bytes, in U6 for 8
    // more (this function's contract).
    unsafe {
        let (scale, minimum) = I::nibbles(I::bytes(at));
        if format == ParamFormat::U4 {
            return (scale, minimum);
        }
        let upper = I::spread(at.add(ROWS));
        (I::with_upper::<0>(scale, upper), I::with_upper::<2>(minimum, upper))
    }
}

/// Store the integers of a group in U6 or U4.
pub(crate) fn write_integers(format: ParamFormat, integers: &Grid, out: &mut [u8]) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "integers from 0 to 63"
    )]
    let both: [[u8; 2]; ROWS] =
        std::array::from_fn(|i| [integers.scale[i] as u8, integers.minimum[i] as u8]);
    for ([scale, minimum], out) in both.iter().zip(&mut *out) {
        *out = scale & 15 | minimum << 4;
    }
    if format == ParamFormat::U6 {
        let upper = |i: usize| both[i][0] >> 4 | both[i][1] >> 4 << 2;
        for (i, out) in out[ROWS..].iter_mut().take(ROWS / 2).enumerate() {
            *out = upper(i) | upper(i + ROWS / 2) << 4;
        }
    }
}
