//! What a row is known by.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_schema::DataType;
use std::fmt;
use std::sync::Arc;

/// The id of a row: a number or a text, one kind in a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// A number.
    Int(i64),
    /// A text.
    Text(Box<str>),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(id) => id.fmt(f),
            Self::Text(id) => write!(f, "{id:?}"),
        }
    }
}

impl From<i64> for Id {
    fn from(id: i64) -> Self {
        Self::Int(id)
    }
}

impl From<&str> for Id {
    fn from(id: &str) -> Self {
        Self::Text(id.into())
    }
}

impl Id {
    /// The ids of a column of int64 or utf8 without nulls; empty for any other type.
    pub(crate) fn column(array: &ArrayRef) -> Vec<Self> {
        match array.data_type() {
            DataType::Int64 => {
                array.as_primitive::<Int64Type>().values().iter().map(|&id| Self::Int(id)).collect()
            }
            DataType::Utf8 => {
                let texts = array.as_string::<i32>();
                (0..texts.len()).map(|i| Self::Text(texts.value(i).into())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A column of ids of one type; those of the other kind are left out, since no row has them.
    pub(crate) fn array(ids: &[Self], kind: &DataType) -> ArrayRef {
        if *kind == DataType::Int64 {
            let ids =
                ids.iter().filter_map(|id| if let Self::Int(id) = id { Some(*id) } else { None });
            Arc::new(Int64Array::from_iter_values(ids))
        } else {
            let ids =
                ids.iter().filter_map(|id| if let Self::Text(id) = id { Some(id) } else { None });
            Arc::new(StringArray::from_iter_values(ids))
        }
    }
}
