//! Filters: which rows, said as in SQL.
//!
//! ```text
//! lang = 'en' AND year >= 2020 AND (title LIKE '%cat%' OR tag IN ('a', 'b')) AND note IS NOT NULL
//! ```
//!
//! | what | form |
//! |---|---|
//! | comparison | `a = b`, `!=` or `<>`, `<`, `<=`, `>`, `>=`; columns and values on either side |
//! | range, set | `a [NOT] BETWEEN x AND y`, `a [NOT] IN (x, y)` |
//! | text | `a [NOT] LIKE 'x%_'`, `ILIKE` whatever the case; `\` before `%` or `_` means itself |
//! | missing | `a IS [NOT] NULL` |
//! | logic | `NOT`, `AND`, `OR`, in this order, and parentheses; `TRUE`, `FALSE`, a boolean column |
//! | column | `name`, or `"any name"` or `` `any name` `` |
//! | value | `'text'` (`''` is a quote), `12`, `-1.5e3`, `TRUE`; dates and times as texts |
//!
//! Keywords have no case, names have. As in SQL a comparison with a missing value is neither true nor
//! false, and a row is taken only where the whole is true.

mod evaluate;
mod lexer;
mod number;
mod parser;
mod whole;

use crate::{Error, Result};
use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;
use number::Number;
use std::cmp::Ordering;
use std::fmt;

/// What is wrong, and at which byte.
type Fault = (usize, String);

fn fault<T>(at: usize, what: impl Into<String>) -> std::result::Result<T, Fault> {
    Err((at, what.into()))
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

impl Op {
    /// The same comparison with its sides exchanged.
    fn mirrored(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::LtEq => Self::GtEq,
            Self::Gt => Self::Lt,
            Self::GtEq => Self::LtEq,
            Self::Eq | Self::NotEq => self,
        }
    }

    /// Whether it is true of two values in this order.
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::NotEq => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::LtEq => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::GtEq => order.is_ge(),
        }
    }
}

/// A value that the filter's text holds.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Bool(bool),
    Number(Number),
    Text(String),
}

/// One side of a comparison, and where it stands.
#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Column(String, usize),
    Value(Value, usize),
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Compare(Operand, Op, Operand),
    In(Operand, Vec<(Value, usize)>),
    Like {
        side: Operand,
        pattern: String,
        any_case: bool,
    },
    IsNull(Operand),
    /// A boolean by itself.
    Is(Operand),
}

impl Expression {
    fn columns<'a>(&'a self, names: &mut Vec<&'a str>) {
        let mut side = |operand: &'a Operand| {
            if let Operand::Column(name, _) = operand {
                names.push(name);
            }
        };
        match self {
            Self::And(all) | Self::Or(all) => all.iter().for_each(|one| one.columns(names)),
            Self::Not(one) => one.columns(names),
            Self::Compare(left, _, right) => [left, right].into_iter().for_each(side),
            Self::In(one, _) | Self::IsNull(one) | Self::Is(one) => side(one),
            Self::Like { side: one, .. } => side(one),
        }
    }
}

/// A filter that has been understood; which columns there are is asked when it is used.
#[derive(Clone, PartialEq)]
pub struct Filter {
    text: String,
    expression: Expression,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?})", self.text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Filter {
    /// Understand a text.
    ///
    /// # Errors
    /// If it is no filter: where, and what would be right.
    pub fn parse(text: &str) -> Result<Self> {
        let expression = parser::parse(text).map_err(|fault| told(text, fault))?;
        Ok(Self { text: text.to_owned(), expression })
    }

    /// Refuse a filter that names no column of a schema, or compares what cannot be compared.
    ///
    /// # Errors
    /// Where, and what would be right.
    pub fn check(&self, schema: &SchemaRef) -> Result<()> {
        self.mask(&RecordBatch::new_empty(schema.clone())).map(|_| ())
    }

    /// For each row whether the filter is true, false or neither.
    ///
    /// # Errors
    /// As [`Filter::check`].
    pub fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        evaluate::evaluate(&self.expression, batch).map_err(|fault| told(&self.text, fault))
    }

    /// The columns it speaks of, each once.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.expression.columns(&mut names);
        names.sort_unstable();
        names.dedup();
        names
    }

    /// One bit a row: set where the filter is true.
    pub(crate) fn bits(&self, batch: &RecordBatch) -> Result<BooleanBuffer> {
        let (values, nulls) = self.mask(batch)?.into_parts();
        Ok(nulls.map_or_else(|| values.clone(), |nulls| &values & nulls.inner()))
    }
}

/// A fault as an error that shows where in the text it is.
fn told(text: &str, (at, what): Fault) -> Error {
    let at = text[..at.min(text.len())].chars().count() + 1;
    Error::Filter { text: text.to_owned(), at, what }
}
