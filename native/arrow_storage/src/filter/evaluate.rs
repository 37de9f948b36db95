//! A tree over a batch, by Arrow's kernels and SQL's logic of three values.

use super::number::Number;
use super::{Expression, Fault, Op, Operand, Value, fault, whole};
use arrow_arith::boolean::{and_kleene, is_null, not, or_kleene};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Datum, Float64Array, RecordBatch, Scalar, StringArray,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType};
use std::collections::HashSet;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Fault>;

/// Failures of kernels, at a place.
fn at<T>(at: usize, result: std::result::Result<T, ArrowError>) -> Result<T> {
    result.map_err(|e| (at, e.to_string()))
}

pub(super) fn evaluate(expression: &Expression, batch: &RecordBatch) -> Result<BooleanArray> {
    let fold = |parts: &[Expression], all: bool| {
        let mut sum = BooleanArray::from(vec![all; batch.num_rows()]);
        for part in parts {
            let part = evaluate(part, batch)?;
            let joined = if all { and_kleene(&sum, &part) } else { or_kleene(&sum, &part) };
            sum = at(0, joined)?;
        }
        Ok(sum)
    };
    match expression {
        Expression::And(parts) => fold(parts, true),
        Expression::Or(parts) => fold(parts, false),
        Expression::Not(inside) => at(0, not(&evaluate(inside, batch)?)),
        Expression::Compare(left, op, right) => compare(batch, left, *op, right),
        Expression::In(side, values) => member(batch, side, values),
        Expression::Like { side, pattern, any_case } => {
            let (column, place) = column(batch, side)?;
            if !is_text(column.data_type()) {
                return mismatch(side, &column, "a pattern", place);
            }
            let pattern = at(place, convert(&text(pattern), column.data_type()))?;
            let like = if *any_case { arrow_string::like::ilike } else { arrow_string::like::like };
            at(place, like(&column, &Scalar::new(pattern)))
        }
        Expression::IsNull(side) => {
            let (column, place) = column(batch, side)?;
            at(place, is_null(&column))
        }
        Expression::Is(Operand::Value(Value::Bool(all), _)) => {
            Ok(BooleanArray::from(vec![*all; batch.num_rows()]))
        }
        Expression::Is(side) => match column(batch, side)? {
            (column, _) if *column.data_type() == DataType::Boolean => {
                Ok(column.as_boolean().clone())
            }
            (column, place) => {
                let (name, kind) = (name(side), column.data_type());
                fault(
                    place,
                    format!("expected a comparison with column {name:?}, got {kind} alone"),
                )
            }
        },
    }
}

/// The column that one side names, its dictionary resolved.
fn column(batch: &RecordBatch, side: &Operand) -> Result<(ArrayRef, usize)> {
    let (name, place) = match side {
        Operand::Column(name, place) => (name, *place),
        Operand::Value(_, place) => return fault(*place, "expected a column, got a value"),
    };
    let Some(column) = batch.column_by_name(name) else {
        let schema = batch.schema();
        let names: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        return fault(place, format!("there is no column {name:?}; there are {names:?}"));
    };
    match column.data_type() {
        DataType::Dictionary(_, values) => Ok((at(place, convert(column, values))?, place)),
        _ => Ok((column.clone(), place)),
    }
}

fn mismatch<T>(side: &Operand, column: &ArrayRef, what: &str, place: usize) -> Result<T> {
    let (name, kind) = (name(side), column.data_type());
    fault(place, format!("column {name:?} is {kind}; it cannot be compared with {what}"))
}

fn name(side: &Operand) -> &str {
    if let Operand::Column(name, _) = side { name } else { "" }
}

pub(super) fn convert(
    array: &ArrayRef,
    to: &DataType,
) -> std::result::Result<ArrayRef, ArrowError> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// As double precision without negative zeros, which Arrow orders before positive ones.
pub(super) fn floats(array: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    let array = convert(array, &DataType::Float64)?;
    let array: Float64Array = array.as_primitive::<Float64Type>().unary(|x| x + 0.0);
    Ok(Arc::new(array))
}

/// The type in which a column of one type and a value can be compared, but for numbers with columns
/// of whole numbers.
fn common(kind: &DataType, value: &Value) -> Option<DataType> {
    match value {
        Value::Bool(_) => (*kind == DataType::Boolean).then_some(DataType::Boolean),
        Value::Number(_) => (kind.is_floating() || kind.is_decimal()).then_some(DataType::Float64),
        Value::Text(_) => (is_text(kind) || kind.is_temporal()).then(|| kind.clone()),
    }
}

fn array(value: &Value) -> ArrayRef {
    match value {
        Value::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
        Value::Number(value) => Arc::new(Float64Array::from(vec![value.float()])),
        Value::Text(value) => text(value),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string().to_uppercase(),
        Value::Number(value) => value.text().to_owned(),
        Value::Text(value) => format!("the text '{value}'"),
    }
}

/// A column and a value as arrays of one type; the value's has one row.
fn pair(column: &ArrayRef, side: &Operand, value: &Value, place: usize) -> Result<[ArrayRef; 2]> {
    let Some(kind) = common(column.data_type(), value) else {
        return mismatch(side, column, &show(value), place);
    };
    if kind == DataType::Float64 {
        return Ok([at(place, floats(column))?, at(place, floats(&array(value)))?]);
    }
    let fit = |array: &ArrayRef| convert(array, &kind);
    let value = fit(&array(value)).map_err(|_| {
        let kind = column.data_type();
        (place, format!("{} is no {kind}, which the column is", show(value)))
    })?;
    Ok([at(place, fit(column))?, value])
}

pub(super) fn run(
    op: Op,
    a: &dyn Datum,
    b: &dyn Datum,
) -> std::result::Result<BooleanArray, ArrowError> {
    match op {
        Op::Eq => cmp::eq(a, b),
        Op::NotEq => cmp::neq(a, b),
        Op::Lt => cmp::lt(a, b),
        Op::LtEq => cmp::lt_eq(a, b),
        Op::Gt => cmp::gt(a, b),
        Op::GtEq => cmp::gt_eq(a, b),
    }
}

fn compare(batch: &RecordBatch, left: &Operand, op: Op, right: &Operand) -> Result<BooleanArray> {
    match (left, right) {
        (_, Operand::Value(value, place)) => {
            let (column, _) = column(batch, left)?;
            if let Value::Number(number) = value
                && let Some(found) = at(*place, whole::compare(&column, op, number))?
            {
                return Ok(found);
            }
            let [column, value] = pair(&column, left, value, *place)?;
            at(*place, run(op, &column, &Scalar::new(value)))
        }
        (Operand::Value(..), _) => compare(batch, right, op.mirrored(), left),
        _ => {
            let ((a, place), (b, _)) = (column(batch, left)?, column(batch, right)?);
            let number = |kind: &DataType| kind.is_integer() || kind.is_floating();
            let (x, y) = (a.data_type(), b.data_type());
            if x.is_floating() && y.is_floating() {
                return at(place, floats(&a).and_then(|a| run(op, &a, &floats(&b)?)));
            } else if x == y && !x.is_nested() {
                return at(place, run(op, &a, &b));
            } else if number(x) && number(y) {
                return at(place, whole::compare_columns(&a, op, &b));
            }
            mismatch(left, &a, &format!("column {:?}, which is {y}", name(right)), place)
        }
    }
}

/// Rows whose value is among some; sets keep long lists fast.
fn member(batch: &RecordBatch, side: &Operand, values: &[(Value, usize)]) -> Result<BooleanArray> {
    let (column, place) = column(batch, side)?;
    let kind = column.data_type().clone();
    let nulls = column.logical_nulls();
    let all = |kind: fn(&Value) -> bool| values.iter().all(|(value, _)| kind(value));
    if is_text(&kind) && all(|v| matches!(v, Value::Text(_))) {
        let set: HashSet<&str> = values.iter().filter_map(|(v, _)| as_text(v)).collect();
        let column = at(place, convert(&column, &DataType::LargeUtf8))?;
        let hits = column.as_string::<i64>().iter().map(|x| x.is_some_and(|x| set.contains(x)));
        return Ok(BooleanArray::new(hits.collect(), nulls));
    }
    let numbers = values.iter().filter_map(|(v, _)| as_number(v));
    if all(|v| matches!(v, Value::Number(_)))
        && let Some(found) = at(place, whole::member(&column, numbers))?
    {
        return Ok(found);
    }
    let mut sum = BooleanArray::from(vec![false; batch.num_rows()]);
    for (value, place) in values {
        let equal = compare(batch, side, Op::Eq, &Operand::Value(value.clone(), *place))?;
        sum = at(*place, or_kleene(&sum, &equal))?;
    }
    Ok(sum)
}

fn as_text(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

fn as_number(value: &Value) -> Option<&Number> {
    if let Value::Number(number) = value { Some(number) } else { None }
}
