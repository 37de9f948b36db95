//! Filters: what they take, against plain Rust, and where they say what is wrong.

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, TimestampMillisecondArray, UInt64Array,
};
use arrow_storage::{Error, Filter};
use proptest::prelude::*;
use std::cmp::Ordering;
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
        ("", 1, "expected a column or a value, got the end"),
        ("year = ", 8, "expected a column or a value, got the end"),
        ("year = 'x'", 8, "cannot be compared with the text 'x'"),
        ("jahr = 1", 1, "no column \"jahr\"; there are [\"year\""),
        ("year = NULL", 8, "IS NULL"),
        ("year IS 3", 9, "expected NULL or NOT NULL"),
        ("year 3", 6, "expected AND or OR, got 3"),
        ("(year = 3", 10, "expected ')'"),
        ("year NOT 3", 10, "expected IN, LIKE, ILIKE or BETWEEN"),
        ("lang LIKE 3", 11, "expected a pattern in quotes"),
        ("year LIKE 'x'", 1, "column \"year\" is Int64; it cannot be compared with a pattern"),
        ("lang = 'x", 8, "' is not closed"),
        ("year = 1x", 8, "'1x' is no number"),
        ("year; DROP", 5, "';' has no meaning"),
        ("year", 1, "expected a comparison"),
        ("'é' = 'x' AND jahr", 1, "expected a column"),
        ("lang = 'é' AND jahr", 16, "no column"),
        ("day > 'soon'", 7, "the text 'soon' is no Date32"),
        ("year IN ()", 10, "expected a column or a value, got ')'"),
        ("1 = 1", 1, "expected a column"),
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

#[test]
fn nesting_is_taken_up_to_its_limit() {
    for (depth, taken) in [(63, true), (64, false)] {
        for (open, close) in [("(", ")"), ("NOT ", "")] {
            let text = open.repeat(depth) + "year = 1" + &close.repeat(depth);
            assert_eq!(taken, Filter::parse(&text).is_ok(), "{open} {depth}");
        }
    }
}

/// Texts of every type, dictionaries, times, and columns beside columns; a null decides nothing.
#[test]
fn columns_of_other_types_and_pairs_of_columns_are_compared() {
    let texts = [Some("b"), Some("A"), None, Some("ba")];
    let wide = LargeStringArray::from(texts.to_vec());
    let view = StringViewArray::from(texts.to_vec());
    let coded: DictionaryArray<Int32Type> = texts.iter().copied().collect();
    let ids = Int64Array::from(vec![Some(1), Some(-2), Some(3), None]);
    let whole = UInt64Array::from(vec![Some(1), Some(5), None, Some(9)]);
    let short = Int32Array::from(vec![2, -2, 3, 4]);
    let real = Float64Array::from(vec![Some(0.5), Some(-2.0), None, Some(4.0)]);
    let small = Float32Array::from(vec![Some(-0.0), Some(-2.0), Some(1.0), Some(f32::NAN)]);
    let time = TimestampMillisecondArray::from(vec![0, 86_400_000, 1_577_836_800_000, -1]);
    let day = Date32Array::from(vec![0, 2, 18_262, -1]);
    let columns: [(&str, ArrayRef); 11] = [
        ("wide", Arc::new(wide)),
        ("view", Arc::new(view)),
        ("coded", Arc::new(coded)),
        ("ids", Arc::new(ids)),
        ("whole", Arc::new(whole)),
        ("short", Arc::new(short)),
        ("real", Arc::new(real)),
        ("small", Arc::new(small)),
        ("time", Arc::new(time)),
        ("day", Arc::new(day)),
        ("select", Arc::new(StringArray::from(texts.to_vec()))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mask = |filter: &str| {
        let mask = Filter::parse(filter).and_then(|f| f.mask(&batch));
        mask.unwrap_or_else(|e| panic!("{filter}: {e}")).iter().collect::<Vec<_>>()
    };
    let (yes, no) = (Some(true), Some(false));
    for name in ["wide", "view", "coded", "select", "\"select\""] {
        for (test, right) in [
            ("= 'b'", [yes, no, None, no]),
            ("!= 'b'", [no, yes, None, yes]),
            ("> 'b'", [no, no, None, yes]),
            ("<= 'b'", [yes, yes, None, no]),
            ("IN ('b', 'ba')", [yes, no, None, yes]),
            ("NOT IN ('b', 'x')", [no, yes, None, yes]),
            ("LIKE 'b_'", [no, no, None, yes]),
            ("NOT LIKE 'b%'", [no, yes, None, no]),
            ("ILIKE 'a'", [no, yes, None, no]),
            ("BETWEEN 'A' AND 'b'", [yes, yes, None, no]),
            ("IS NULL", [no, no, yes, no]),
            ("IS NOT NULL", [yes, yes, no, yes]),
        ] {
            assert_eq!(right.to_vec(), mask(&format!("{name} {test}")), "{name} {test}");
        }
    }
    for (filter, right) in [
        ("ids = whole", [yes, no, None, None]),
        ("ids < whole", [no, yes, None, None]),
        ("whole > ids", [no, yes, None, None]),
        ("ids <= short", [yes, yes, yes, None]),
        ("short >= real", [yes, yes, None, yes]),
        ("real <= short", [yes, yes, None, yes]),
        ("real > short", [no, no, None, no]),
        ("real = small", [no, yes, None, no]),
        ("small = 0", [yes, no, no, no]),
        ("small < 0", [no, yes, no, no]),
        ("small IN (0, 1)", [yes, no, yes, no]),
        ("ids BETWEEN -2 AND short", [yes, yes, yes, None]),
        ("ids NOT BETWEEN 2 AND short", [yes, yes, no, None]),
        ("time > '1970-01-01'", [no, yes, yes, no]),
        ("time = '2020-01-01T00:00:00'", [no, no, yes, no]),
        ("day IN ('1970-01-03', '2020-01-01')", [no, yes, yes, no]),
        ("NOT (ids = 1 AND whole = 1)", [no, yes, yes, yes]),
        ("ids = 1 OR whole = 9", [yes, no, None, yes]),
    ] {
        assert_eq!(right.to_vec(), mask(filter), "{filter}");
    }
    for filter in ["coded = wide", "ids = wide", "day = time"] {
        let refused = Filter::parse(filter).unwrap().mask(&batch);
        assert!(matches!(refused, Err(Error::Filter { at: 1, .. })), "{filter}");
    }
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

/// A whole number beside a fraction of either sign is never equal to it, and on its right side.
#[test]
fn whole_numbers_beside_fractions_are_on_their_side() {
    let (whole, real): (Vec<i64>, Vec<f64>) =
        (-3..=3).flat_map(|n| [-2.5, -2.0, -0.5, 0.0, 0.5, 2.0, 2.5].map(|x| (n, x))).unzip();
    let n: ArrayRef = Arc::new(Int64Array::from(whole.clone()));
    let x: ArrayRef = Arc::new(Float64Array::from(real.clone()));
    let batch = RecordBatch::try_from_iter([("n", n), ("x", x)]).unwrap();
    type Holds = fn(&f64, &f64) -> bool;
    let tests: [(&str, Holds); 6] = [
        ("=", f64::eq),
        ("!=", f64::ne),
        ("<", f64::lt),
        ("<=", f64::le),
        (">", f64::gt),
        (">=", f64::ge),
    ];
    for (op, holds) in tests {
        let mask = |filter: String| {
            let mask = Filter::parse(&filter).unwrap().mask(&batch).unwrap();
            mask.iter().map(Option::unwrap).collect::<Vec<_>>()
        };
        let pairs = || whole.iter().map(|&n| n as f64).zip(real.iter().copied());
        let right: Vec<_> = pairs().map(|(n, x)| holds(&n, &x)).collect();
        assert_eq!(right, mask(format!("n {op} x")), "n {op} x");
        let right: Vec<_> = pairs().map(|(n, x)| holds(&x, &n)).collect();
        assert_eq!(right, mask(format!("x {op} n")), "x {op} n");
    }
}

/// Fault V2: as floats, neighbours beyond 2^53 are equal, and 2020.5 is rounded.
#[test]
fn whole_numbers_are_compared_exactly_however_a_number_is_written() {
    let rows = [Some(1 << 53), Some((1 << 53) + 1), None, Some(i64::MAX), Some(i64::MIN), Some(7)];
    let column: ArrayRef = Arc::new(Int64Array::from(rows.to_vec()));
    let big: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 1 << 53, 0, 1 << 63, 0, 7]));
    let near: ArrayRef =
        Arc::new(Float64Array::from(vec![9e15, 2f64.powi(53), 0.0, 2f64.powi(63), f64::NAN, 6.5]));
    let batch = RecordBatch::try_from_iter([("n", column), ("u", big), ("f", near)]).unwrap();
    let cases: [(&str, &[usize]); 18] = [
        ("n = 9007199254740993.0", &[1]),
        ("n < 9007199254740992.5", &[0, 4, 5]),
        ("9007199254740992.5 < n", &[1, 3]),
        ("n IN (9007199254740992.0, 7.5)", &[0]),
        ("n NOT IN (7.5, 70e-1)", &[0, 1, 3, 4]),
        ("n = 7.5", &[]),
        ("n != 7.5", &[0, 1, 3, 4, 5]),
        ("n BETWEEN 6.5 AND 7.5", &[5]),
        ("n >= 9223372036854775807.0", &[3]),
        ("n > 9223372036854775807", &[]),
        ("NOT (n < 1e30)", &[]),
        ("n <= -9223372036854775808", &[4]),
        ("u = 18446744073709551615", &[0]),
        ("u > -0.5 AND u IN (18446744073709551615.0, -1)", &[0]),
        ("u > 18446744073709551616", &[]),
        ("n < u", &[0, 3, 4]),
        ("n > f", &[0, 1, 5]),
        ("f = u OR f = n", &[1, 2, 3]),
    ];
    for (filter, right) in cases {
        let mask = Filter::parse(filter).unwrap().mask(&batch).unwrap();
        let found: Vec<usize> =
            (0..6).filter(|&row| mask.iter().nth(row) == Some(Some(true))).collect();
        assert_eq!(right, found, "{filter}");
    }
}

/// A number times ten to the power of -15, beside a value of a column or between two, as text.
fn literal(ends: Vec<i128>) -> impl Strategy<Value = (i128, String)> {
    const ONE: i128 = 10i128.pow(15);
    let offset = prop_oneof![3 => Just(0), 3 => -2..=2i128, 2 => -ONE..=ONE];
    let unit = prop::sample::select(vec![ONE, ONE / 100]);
    (prop::sample::select(ends), unit, offset, 0..4).prop_map(|(value, unit, offset, form)| {
        let number = value * unit + offset;
        let (sign, size) = (if number < 0 { "-" } else { "" }, number.abs());
        let (whole, fraction) = (size / ONE, size % ONE);
        let text = match form {
            0 if fraction == 0 => format!("{sign}{whole}"),
            1 => format!("{sign}{size}00E-17"),
            2 => format!("{sign}0.{whole:021}{fraction:015}e+21"),
            _ => format!("{sign}{whole}.{fraction:015}"),
        };
        (number, text)
    })
}

/// An operator, what it is from the other side, and what it says of an order.
type Test = (&'static str, &'static str, fn(Ordering) -> bool);

proptest! {
    /// Fault V2: a filter says of a column what whole numbers of any size say of it.
    #[test]
    fn numbers_of_any_kind_are_compared_exactly(
        numbers in prop::collection::vec(literal(ENDS.to_vec()), 3),
        column in prop::sample::select(vec!["i", "s", "u", "d"]),
    ) {
        let kept = |low: i128, high: i128| ENDS.iter().map(move |&x| x.clamp(low, high));
        let whole = |low, high| kept(low, high).map(|x| x * 10i128.pow(15)).collect::<Vec<_>>();
        let (long, short) = (i128::from(i64::MAX), i128::from(i32::MAX));
        let most = i128::from(u64::MAX);
        let exact = match column {
            "i" => whole(-long - 1, long),
            "s" => whole(-short - 1, short),
            "u" => whole(0, most),
            _ => ENDS.iter().map(|&x| x * 10i128.pow(13)).collect(),
        };
        let columns: [(&str, ArrayRef); 4] = [
            ("i", Arc::new(Int64Array::from_iter_values(kept(-long - 1, long).map(|x| x as i64)))),
            ("s", Arc::new(Int32Array::from_iter_values(kept(-short - 1, short).map(|x| x as i32)))),
            ("u", Arc::new(UInt64Array::from_iter_values(kept(0, most).map(|x| x as u64)))),
            ("d", Arc::new(
                Decimal128Array::from_iter_values(ENDS).with_precision_and_scale(30, 2).unwrap(),
            )),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mask = |filter: &str| {
            let mask = Filter::parse(filter).unwrap().mask(&batch).unwrap();
            mask.iter().map(|x| x.unwrap()).collect::<Vec<_>>()
        };
        let (number, text) = &numbers[0];
        let tests: [Test; 6] = [
            ("=", "=", Ordering::is_eq),
            ("!=", "!=", Ordering::is_ne),
            ("<", ">", Ordering::is_lt),
            ("<=", ">=", Ordering::is_le),
            (">", "<", Ordering::is_gt),
            (">=", "<=", Ordering::is_ge),
        ];
        for (op, mirrored, test) in tests {
            let right: Vec<bool> = exact.iter().map(|value| test(value.cmp(number))).collect();
            let filter = format!("{column} {op} {text}");
            prop_assert_eq!(&right, &mask(&filter), "{}", filter);
            prop_assert_eq!(&right, &mask(&format!("{text} {mirrored} {column}")), "{}", filter);
        }
        let among: Vec<bool> =
            exact.iter().map(|value| numbers.iter().any(|(number, _)| number == value)).collect();
        let list = numbers.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(", ");
        prop_assert_eq!(&among, &mask(&format!("{column} IN ({list})")), "{}", list);
        let other: Vec<bool> = among.iter().map(|x| !x).collect();
        prop_assert_eq!(other, mask(&format!("{column} NOT IN ({list})")), "{}", list);
    }

    /// Fault V2: a column of floats is compared with the nearest float, however it is written.
    #[test]
    fn floats_are_compared_with_the_nearest(value in -1e17f64..1e17, near in -2i64..=2) {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![value]));
        let batch = RecordBatch::try_from_iter([("f", column)]).unwrap();
        let other = f64::from_bits(value.to_bits().wrapping_add_signed(near));
        for text in [format!("{other:?}"), format!("{other:.40}"), format!("{other:e}")] {
            let mask = |op: &str| {
                let filter = Filter::parse(&format!("f {op} {text}")).unwrap();
                filter.mask(&batch).unwrap().value(0)
            };
            prop_assert_eq!(value < other, mask("<"), "{} {}", value, text);
            prop_assert_eq!(value == other, mask("="), "{} {}", value, text);
        }
    }
}

/// Values beside which comparisons go wrong.
const ENDS: [i128; 12] = [
    0,
    1,
    -1,
    7,
    1 << 53,
    (1 << 53) + 1,
    -(1 << 53) - 1,
    i64::MAX as i128,
    i64::MIN as i128,
    u64::MAX as i128,
    i32::MAX as i128,
    i32::MIN as i128,
];
