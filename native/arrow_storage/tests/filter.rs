//! Filters: what they take, against plain Rust, and where they say what is wrong.

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Float32Array, Int64Array, RecordBatch, StringArray,
    UInt64Array,
};
use arrow_storage::{Error, Filter};
use proptest::prelude::*;
use std::sync::Arc;

const YEARS: [Option<i64>; 6] = [Some(2019), Some(2020), None, Some(2021), Some(-3), Some(0)];
const LANGS: [Option<&str>; 6] =
    [Some("en"), Some("de"), Some("EN"), None, Some("it's"), Some("100%")];

fn batch() -> RecordBatch {
    let columns: [(&str, ArrayRef); 6] = [
        ("year", Arc::new(Int64Array::from(YEARS.to_vec()))),
        ("lang", Arc::new(StringArray::from(LANGS.to_vec()))),
        ("score", Arc::new(Float32Array::from(vec![0.5, -0.0, f32::NAN, 1e9, -2.5, 0.25]))),
        (
            "good",
            Arc::new(BooleanArray::from(vec![
                Some(true),
                Some(false),
                None,
                Some(true),
                None,
                Some(false),
            ])),
        ),
        ("big one", Arc::new(UInt64Array::from(vec![0, 1, 2, u64::MAX, 4, 5]))),
        ("day", Arc::new(Date32Array::from(vec![0, 1, 18_262, 18_263, 19_000, -1]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn taken(filter: &str) -> Vec<usize> {
    let mask = Filter::parse(filter).and_then(|f| f.mask(&batch()));
    let mask = mask.unwrap_or_else(|e| panic!("{filter}: {e}"));
    (0..6).filter(|&row| mask.iter().nth(row) == Some(Some(true))).collect()
}

#[test]
fn filters_take_what_sql_takes() {
    for (filter, expected) in [
        ("year = 2020", vec![1]),
        ("2020 <= year", vec![1, 3]),
        ("year <> 2020", vec![0, 3, 4, 5]),
        ("year < 0.5", vec![4, 5]),
        ("year BETWEEN 2019 AND 2020", vec![0, 1]),
        ("year NOT BETWEEN 2019 AND 2020", vec![3, 4, 5]),
        ("year IS NULL", vec![2]),
        ("NOT year IS NULL and lang is not null", vec![0, 1, 4, 5]),
        ("year IN (0, 2021)", vec![3, 5]),
        ("year NOT IN (0, 2021)", vec![0, 1, 4]),
        ("year in (0, 2021.0)", vec![3, 5]),
        ("lang = 'it''s'", vec![4]),
        ("lang IN ('en', 'nothing')", vec![0]),
        ("lang LIKE 'e_'", vec![0]),
        ("lang ILIKE 'e%'", vec![0, 2]),
        (r"lang LIKE '%\%'", vec![5]),
        ("lang NOT LIKE '%e%'", vec![2, 4, 5]),
        ("score = 0", vec![1]),
        ("score > 0.25", vec![0, 2, 3]),
        ("good", vec![0, 3]),
        ("NOT good", vec![1, 5]),
        ("good = FALSE", vec![1, 5]),
        ("TRUE", vec![0, 1, 2, 3, 4, 5]),
        ("\"big one\" > 4 AND `big one` > -1", vec![3, 5]),
        ("day >= '2020-01-01'", vec![2, 3, 4]),
        ("year = score", vec![]),
        ("year < score", vec![3, 4, 5]),
        ("year = 2019 OR year = 2020 AND lang = 'xx'", vec![0]),
        ("(year = 2019 OR year = 2020) AND lang = 'de'", vec![1]),
        ("year > 0 OR good", vec![0, 1, 3]),
        ("score IN (0.5, -2.5)", vec![0, 4]),
    ] {
        assert_eq!(expected, taken(filter), "{filter}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (filter, at, part) in [
        ("", 1, "want a column or a value, found the end"),
        ("year = ", 8, "want a column or a value, found the end"),
        ("year = 'x'", 8, "cannot be compared with the text 'x'"),
        ("jahr = 1", 1, "no column \"jahr\"; there are [\"year\""),
        ("year = NULL", 8, "IS NULL"),
        ("year IS 3", 9, "want NULL or NOT NULL"),
        ("year 3", 6, "3 is one too many"),
        ("(year = 3", 10, "want ')'"),
        ("year NOT 3", 10, "want IN, LIKE, ILIKE or BETWEEN"),
        ("lang LIKE 3", 11, "want a pattern in quotes"),
        ("year LIKE 'x'", 1, "column \"year\" is Int64; it cannot be compared with a pattern"),
        ("lang = 'x", 8, "' is not closed"),
        ("year = 1x", 8, "'1x' is no number"),
        ("year; DROP", 5, "';' has no meaning"),
        ("year", 1, "want a comparison"),
        ("'é' = 'x' AND jahr", 1, "want a column"),
        ("lang = 'é' AND jahr", 16, "no column"),
        ("day > 'soon'", 7, "the text 'soon' is no Date32"),
        ("year IN ()", 10, "want a column or a value, found ')'"),
        ("1 = 1", 1, "want a column"),
    ] {
        let found = Filter::parse(filter).and_then(|f| f.mask(&batch()));
        match found {
            Err(Error::Filter { at: found, what, .. }) => {
                assert!(what.contains(part), "{filter}: {what}");
                assert_eq!(at, found, "{filter}: {what}");
            }
            other => panic!("{filter}: {other:?}"),
        }
    }
}

#[test]
fn deep_nesting_is_refused_and_long_chains_are_not() {
    let deep = format!("{}year = 1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(matches!(Filter::parse(&deep), Err(Error::Filter { .. })));
    assert!(Filter::parse(&"NOT ".repeat(100_000)).is_err());
    let long = vec!["year = 2020"; 5_000].join(" OR ");
    assert_eq!(vec![1], taken(&long));
}

/// A filter as text, and what it says of a row by plain Rust: none is neither true nor false.
fn filter() -> impl Strategy<Value = (String, Vec<Option<bool>>)> {
    let numbers = (prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]), -4i64..2023)
        .prop_map(|(op, value)| {
            let test = |year: i64| match op {
                "=" => year == value,
                "!=" => year != value,
                "<" => year < value,
                "<=" => year <= value,
                ">" => year > value,
                _ => year >= value,
            };
            (format!("year {op} {value}"), YEARS.map(|year| year.map(test)).to_vec())
        });
    let texts = prop::sample::select(vec!["en", "de", "xx"]).prop_map(|value| {
        let test = |lang: &str| lang == value;
        (format!("lang = '{value}'"), LANGS.map(|lang| lang.map(test)).to_vec())
    });
    prop_oneof![numbers, texts].prop_recursive(4, 24, 2, |inner| {
        let join = |word: &'static str, neutral: bool| {
            move |((a, x), (b, y)): ((String, Vec<_>), (String, Vec<_>))| {
                let one = |(x, y): (&Option<bool>, &Option<bool>)| match (x, y) {
                    (Some(v), _) | (_, Some(v)) if *v != neutral => Some(!neutral),
                    (Some(_), Some(_)) => Some(neutral),
                    _ => None,
                };
                (format!("({a}) {word} ({b})"), x.iter().zip(&y).map(one).collect())
            }
        };
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(join("AND", true)),
            pair.prop_map(join("OR", false)),
            inner.prop_map(|(a, x): (String, Vec<Option<bool>>)| (
                format!("NOT ({a})"),
                x.iter().map(|v| v.map(|v| !v)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn logic_has_three_values((text, expected) in filter()) {
        let mask = Filter::parse(&text).unwrap().mask(&batch()).unwrap();
        prop_assert_eq!(expected, mask.iter().collect::<Vec<_>>(), "{}", text);
    }

    #[test]
    fn any_text_is_a_filter_or_an_error(text in r#"[ -~éa-z0-9'"()=<>,.%]{0,40}"#) {
        if let Ok(filter) = Filter::parse(&text) {
            let _ = filter.mask(&batch());
        }
    }
}
