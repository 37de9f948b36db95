//! Which schemas a store can have, and whether a batch fits.

use crate::{Columns, Error, Metric, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, Float32Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

/// The names of all columns.
fn names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// The place of a column.
pub(crate) fn position(schema: &Schema, name: &str) -> Result<usize> {
    schema
        .index_of(name)
        .map_err(|_| Error::NoColumn { name: name.to_owned(), known: names(schema) })
}

fn field<'a>(schema: &'a Schema, name: &str) -> Result<&'a Field> {
    position(schema, name).map(|i| schema.field(i))
}

/// Refuse a schema without an id of int64 or utf8 and a vector of fixed-size float32.
pub(crate) fn check(schema: &Schema, columns: &Columns) -> Result<()> {
    let mut seen = names(schema);
    seen.sort_unstable();
    if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::Schema(format!("two columns are named {:?}", pair[0])));
    }
    let id = field(schema, &columns.id)?;
    if !matches!(id.data_type(), DataType::Int64 | DataType::Utf8) {
        let (name, found) = (&columns.id, id.data_type());
        return Err(Error::Schema(format!(
            "id column {name:?} is {found}; it must be Int64 or Utf8"
        )));
    }
    dimension(schema, columns).map(|_| ())
}

/// The dimension of the vectors.
pub(crate) fn dimension(schema: &Schema, columns: &Columns) -> Result<usize> {
    let vector = field(schema, &columns.vector)?;
    match vector.data_type() {
        DataType::FixedSizeList(item, size)
            if *size > 0 && *item.data_type() == DataType::Float32 =>
        {
            Ok(size.unsigned_abs() as usize)
        }
        found => {
            let name = &columns.vector;
            let right = "it must be a fixed-size list of Float32";
            Err(Error::Schema(format!("vector column {name:?} is {found}; {right}")))
        }
    }
}

/// The values of a column of vectors, one row after another.
pub(crate) fn vectors(column: &dyn Array, dim: usize) -> Result<&[f32]> {
    let list = column.as_fixed_size_list();
    let values: &Float32Array = list.values().as_primitive::<Float32Type>();
    let first = list.offset() * dim;
    let short = || Error::Schema("a column of vectors is shorter than its length says".into());
    values.values().get(first..first + list.len() * dim).ok_or_else(short)
}

/// Refuse a batch of other columns, without an id or vector somewhere, or with NaN in a vector.
pub(crate) fn check_batch(batch: &RecordBatch, schema: &Schema, columns: &Columns) -> Result<()> {
    let found = batch.schema();
    let same = found.fields().len() == schema.fields().len()
        && found
            .fields()
            .iter()
            .zip(schema.fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type().equals_datatype(b.data_type()));
    if !same {
        let show = |schema: &Schema| {
            let each = schema.fields().iter().map(|f| format!("{}: {}", f.name(), f.data_type()));
            each.collect::<Vec<_>>().join(", ")
        };
        let (found, right) = (show(&found), show(schema));
        return Err(Error::Schema(format!(
            "the batch has columns ({found}); the store has ({right})"
        )));
    }
    for (i, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        let required = !field.is_nullable() || *name == columns.id || *name == columns.vector;
        let nulls = batch.column(i).logical_nulls();
        if required && let Some(row) = nulls.and_then(|n| (0..n.len()).find(|&r| n.is_null(r))) {
            return Err(Error::Null { column: name.clone(), row });
        }
    }
    match beyond(batch, schema, columns, f32::MAX)? {
        Some((row, value)) => Err(Error::NotFinite { row, value }),
        None => Ok(()),
    }
}

/// Refuse vectors so long that squares and products of two may be beyond single precision, where the
/// metric needs them. Stores that have such vectors already can be read.
pub(crate) fn check_lengths(
    batch: &RecordBatch,
    schema: &Schema,
    columns: &Columns,
    metric: Metric,
) -> Result<()> {
    if metric == Metric::Cosine {
        return Ok(());
    }
    match beyond(batch, schema, columns, 1e16)? {
        Some((row, value)) => Err(Error::TooLarge { row, value }),
        None => Ok(()),
    }
}

/// The first row with a value larger than some, or NaN; and the value.
fn beyond(
    batch: &RecordBatch,
    schema: &Schema,
    columns: &Columns,
    most: f32,
) -> Result<Option<(usize, f32)>> {
    let dim = dimension(schema, columns)?;
    let values = vectors(batch.column(position(schema, &columns.vector)?), dim)?;
    // Without a branch for each, so that the compiler makes it wide; as integers, which NaN is among.
    let is = |x: &f32| x.abs().to_bits() > most.to_bits();
    let any = |chunk: &[f32]| chunk.iter().fold(0, |found, x| found | u32::from(is(x))) != 0;
    if !values.chunks(4096).any(any) {
        return Ok(None);
    }
    Ok(values.iter().position(is).map(|at| (at / dim, values[at])))
}
