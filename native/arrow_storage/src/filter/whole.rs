//! Columns of whole numbers and of decimals beside any number, exactly: as floats, neighbours beyond
//! 2^53 are equal.

use super::Op;
use super::evaluate::{convert, floats, run};
use super::number::Number;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Int64Array, Scalar, UInt64Array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{ArrowError, DataType};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

type Result<T> = std::result::Result<T, ArrowError>;

/// A column as Int64, UInt64 or Decimal128, and how many digits of its values are fractions; none
/// where it holds neither whole numbers nor decimals of 128 bits.
fn wide(column: &ArrayRef) -> Result<Option<(ArrayRef, i8)>> {
    Ok(match column.data_type() {
        DataType::UInt64 => Some((column.clone(), 0)),
        kind if kind.is_integer() => Some((convert(column, &DataType::Int64)?, 0)),
        &DataType::Decimal32(digits, scale)
        | &DataType::Decimal64(digits, scale)
        | &DataType::Decimal128(digits, scale) => {
            Some((convert(column, &DataType::Decimal128(digits, scale))?, scale))
        }
        _ => None,
    })
}

/// Whether each value compares so with a number; none where the column is of another kind.
pub(super) fn compare(column: &ArrayRef, op: Op, number: &Number) -> Result<Option<BooleanArray>> {
    let Some((column, scale)) = wide(column)? else { return Ok(None) };
    let (floor, fraction) = number.floor(scale);
    let value: Option<ArrayRef> = match column.data_type() {
        DataType::Int64 => {
            i64::try_from(floor).ok().map(|n| Arc::new(Int64Array::from(vec![n])) as ArrayRef)
        }
        DataType::UInt64 => {
            u64::try_from(floor).ok().map(|n| Arc::new(UInt64Array::from(vec![n])) as ArrayRef)
        }
        kind => Some(Arc::new(Decimal128Array::from(vec![floor]).with_data_type(kind.clone()))),
    };
    // What is between two whole numbers, or beyond all of the column, equals none and is on one side.
    let beside = |value: Ordering| {
        let truth = BooleanBuffer::collect_bool(column.len(), |_| op.holds(value));
        BooleanArray::new(truth, column.logical_nulls())
    };
    Ok(Some(match (value, op) {
        (None, _) => beside(if floor > 0 { Ordering::Less } else { Ordering::Greater }),
        (Some(value), _) if fraction.is_eq() => run(op, &column, &Scalar::new(value))?,
        (Some(_), Op::Eq | Op::NotEq) => beside(Ordering::Less),
        (Some(value), Op::Lt | Op::LtEq) => run(Op::LtEq, &column, &Scalar::new(value))?,
        (Some(value), Op::Gt | Op::GtEq) => run(Op::Gt, &column, &Scalar::new(value))?,
    }))
}

/// Whether each value is one of some numbers; none where the column is of another kind.
pub(super) fn member<'a>(
    column: &ArrayRef,
    numbers: impl Iterator<Item = &'a Number>,
) -> Result<Option<BooleanArray>> {
    let Some((column, scale)) = wide(column)? else { return Ok(None) };
    let floors = numbers.map(|number| number.floor(scale));
    let set: HashSet<i128> =
        floors.filter_map(|(floor, fraction)| fraction.is_eq().then_some(floor)).collect();
    let hits = values(&column).map(|value| set.contains(&value)).collect();
    Ok(Some(BooleanArray::new(hits, column.logical_nulls())))
}

/// The values of a wide column.
fn values(column: &ArrayRef) -> Box<dyn Iterator<Item = i128> + '_> {
    match column.data_type() {
        DataType::Int64 => {
            Box::new(column.as_primitive::<Int64Type>().values().iter().map(|&x| i128::from(x)))
        }
        DataType::UInt64 => {
            Box::new(column.as_primitive::<UInt64Type>().values().iter().map(|&x| i128::from(x)))
        }
        _ => Box::new(column.as_primitive::<Decimal128Type>().values().iter().copied()),
    }
}

/// Compare two columns of numbers, at most one of them of floats.
pub(super) fn compare_columns(a: &ArrayRef, op: Op, b: &ArrayRef) -> Result<BooleanArray> {
    if a.data_type().is_floating() {
        return compare_columns(b, op.mirrored(), a);
    }
    if !b.data_type().is_floating() {
        let both = DataType::Decimal128(20, 0);
        return run(op, &convert(a, &both)?, &convert(b, &both)?);
    }
    let (whole, floats) = (convert(a, &DataType::Decimal128(20, 0))?, floats(b)?);
    let pairs = values(&whole).zip(floats.as_primitive::<Float64Type>().values());
    let hits: BooleanBuffer = pairs.map(|(x, &y)| op.holds(order(x, y))).collect();
    let nulls = NullBuffer::union(a.logical_nulls().as_ref(), b.logical_nulls().as_ref());
    Ok(BooleanArray::new(hits, nulls))
}

/// A whole number beside a float; NaN is at the end that its sign says, as Arrow orders it.
fn order(x: i128, y: f64) -> Ordering {
    if y.is_nan() {
        return if y.is_sign_positive() { Ordering::Less } else { Ordering::Greater };
    }
    let floor = y.floor();
    #[expect(clippy::cast_possible_truncation, reason = "the end that is nearer, beyond 128 bits")]
    let whole = floor as i128;
    x.cmp(&whole).then(if y > floor { Ordering::Less } else { Ordering::Equal })
}
