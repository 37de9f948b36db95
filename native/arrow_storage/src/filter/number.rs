//! A number as a filter's text holds it, exactly.

use std::cmp::Ordering;

/// Digits that fit into 128 bits with a sign, whatever they are.
const DIGITS: usize = 38;

/// A decimal number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    /// As it was written, with its sign.
    text: String,
    /// The nearest double precision number.
    float: f64,
    /// The number is these digits times ten to this power.
    digits: String,
    power: i64,
}

impl Number {
    /// Understand digits with or without a point and an exponent; none where they are no number, or
    /// a larger one than double precision has.
    pub fn parse(text: &str) -> Option<Self> {
        let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{before}{after}");
        let digits = all.trim_start_matches('0');
        // An exponent beyond 64 bits is negative, or the digits are zero, or it would not be finite.
        let exponent = exponent.parse().unwrap_or(i64::MIN / 2);
        let power = exponent - i64::try_from(after.len()).ok()?;
        Some(Self { text: text.to_owned(), float, digits: digits.to_owned(), power })
    }

    /// The same with the other sign.
    pub fn negated(self) -> Self {
        Self { text: format!("-{}", self.text), float: -self.float, ..self }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The nearest double precision number, and no negative zero.
    pub fn float(&self) -> f64 {
        self.float + 0.0
    }

    /// The largest whole number that is not above ten to the power of `scale` times this one, and how
    /// this one compares with it. What 128 bits do not hold becomes the end that is nearer.
    pub fn floor(&self, scale: i8) -> (i128, Ordering) {
        let zeros = self.power.saturating_add(i64::from(scale));
        let kept = i64::try_from(self.digits.len()).unwrap_or(i64::MAX).saturating_add(zeros);
        let kept = usize::try_from(kept).unwrap_or(0);
        let (whole, rest) = self.digits.split_at(kept.min(self.digits.len()));
        let size = if self.digits.is_empty() {
            0
        } else if kept > DIGITS {
            i128::MAX
        } else {
            format!("0{whole:0<kept$}").parse().unwrap_or(i128::MAX)
        };
        let fraction = rest.bytes().any(|digit| digit != b'0');
        let negative = self.text.starts_with('-');
        let floor = if negative { -size - i128::from(fraction) } else { size };
        (floor, if fraction { Ordering::Greater } else { Ordering::Equal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_exact() {
        use Ordering::{Equal, Greater};
        for (text, scale, floor, rest) in [
            ("9007199254740992.5", 0, 9_007_199_254_740_992, Greater),
            ("90071992547409930e-1", 0, 9_007_199_254_740_993, Equal),
            ("-0.5", 0, -1, Greater),
            ("-2", 0, -2, Equal),
            ("-0.0", 0, 0, Equal),
            ("1.25", 1, 12, Greater),
            ("1.25", 2, 125, Equal),
            (".5e1", 0, 5, Equal),
            ("1e-99999999999999999999", 0, 0, Greater),
            ("0e99999999999999999999", 2, 0, Equal),
            ("1e37", 0, 10i128.pow(37), Equal),
            ("1e38", 0, i128::MAX, Equal),
            ("-1e300", 0, -i128::MAX, Equal),
            ("12345e-2", -1, 12, Greater),
        ] {
            let number = Number::parse(text.trim_start_matches('-')).unwrap();
            let number = if text.starts_with('-') { number.negated() } else { number };
            assert_eq!((floor, rest), number.floor(scale), "{text} {scale}");
        }
        assert!(Number::parse("1e999").is_none() && Number::parse("1x").is_none());
    }
}
