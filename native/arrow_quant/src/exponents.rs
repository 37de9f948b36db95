//! Powers of two that rows are kept under, where float16s alone would lose them.
//!
//! A product with a power of two is exact, so a row has the same codes at every size.

use crate::scheme::ROWS;

/// A power of two for each of sixteen rows.
pub(crate) type Exponents = [i8; ROWS];

/// The largest parameter of a row under an exponent is below `2^(TOP + 1)`, which float16 holds.
const TOP: i32 = 14;
/// The smallest float16 of full precision, and the largest.
const NORMAL: f32 = 1.0 / 16384.0;
const LARGEST: f32 = 65504.0;
/// Numbers of which the largest is between these stay as they are: their squares, and those of their
/// errors, are far from the ends of float32.
const PLAIN: std::ops::RangeInclusive<f32> = 1.0 / 1_048_576.0..=1_048_576.0;

/// `2^exponent`.
pub(crate) fn power(exponent: i8) -> f32 {
    f32::from_bits(match exponent {
        -128 => 1 << 21,
        -127 => 1 << 22,
        _ => (i32::from(exponent) + 127).cast_unsigned() << 23,
    })
}

/// The exponent of the power of two at or below a number; -127 below float32's normal ones.
fn exponent(x: f32) -> i32 {
    (x.to_bits() >> 23 & 255).cast_signed() - 127
}

/// The power of two that numbers are divided by before sums of their squares, given the largest.
#[expect(clippy::cast_possible_truncation, reason = "it was clamped")]
pub(crate) fn shift(largest: f32) -> i8 {
    if largest == 0.0 || PLAIN.contains(&largest) {
        0
    } else {
        exponent(largest).clamp(-126, 126) as i8
    }
}

/// Divide rows by their powers of two.
pub(crate) fn divide(weights: &mut [[f32; ROWS]], shifts: &Exponents) {
    if *shifts == [0; ROWS] {
        return;
    }
    let factors = shifts.map(|shift| power(-shift));
    for column in weights {
        for (w, factor) in column.iter_mut().zip(factors) {
            *w *= factor;
        }
    }
}

/// Exponents under which float16s hold the parameters of sixteen rows of divided weights.
///
/// Where they hold those of the weights themselves, which they nearly always do, the exponent undoes
/// the division. `unit` is what a scale is multiplied by when it is used, at least.
#[expect(clippy::cast_possible_truncation, reason = "it was clamped")]
pub(crate) fn choose<'a>(
    params: impl Iterator<Item = (&'a [f32; ROWS], &'a [f32; ROWS])> + Clone,
    unit: f32,
    shifts: &Exponents,
) -> Exponents {
    std::array::from_fn(|row| {
        let own = params.clone().map(|(scale, minimum)| (scale[row].abs(), minimum[row].abs()));
        let back = power(-shifts[row]);
        let (least, most) = (NORMAL * back, LARGEST * back);
        let held = |(scale, minimum): (f32, f32)| {
            // Beside a scale of full precision a minimum is off by less than a step in 2000.
            let fine = if scale == 0.0 {
                minimum == 0.0 || minimum >= least
            } else {
                scale * unit >= least
            };
            fine && scale.max(minimum) <= most
        };
        if own.clone().all(held) {
            return -shifts[row];
        }
        let largest = own.fold(0f32, |a, (scale, minimum)| a.max(scale).max(minimum));
        let shift = i32::from(shifts[row]);
        (exponent(largest) - TOP).clamp(-126 - shift, 127 - shift) as i8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_power_of_two() {
        for exponent in i8::MIN..=i8::MAX {
            let expected = 2f64.powi(exponent.into());

            assert_eq!(expected, f64::from(power(exponent)), "{exponent}");
        }
    }

    #[test]
    fn the_power_below_a_number_is_found() {
        for (x, expected) in [(1.0, 0), (1.5, 0), (0.5, -1), (f32::MAX, 127), (1e-38, -127)] {
            assert_eq!(expected, exponent(x), "{x}");
        }
    }
}
