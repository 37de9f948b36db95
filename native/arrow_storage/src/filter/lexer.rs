//! The text of a filter as words, each with its place.

use super::number::Number;
use super::{Fault, fault};

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name without quotes: a column or a keyword.
    Word(String),
    /// A name in double quotes or backticks: a column.
    Quoted(String),
    /// A text in single quotes.
    Text(String),
    /// A number, without its sign.
    Number(Number),
    /// `= != < <= > >= ( ) ,` and a minus sign.
    Sign(&'static str),
    /// After the last word.
    End,
}

impl Token {
    /// How a message shows it.
    pub fn show(&self) -> String {
        match self {
            Self::Word(name) => format!("'{name}'"),
            Self::Quoted(name) => format!("\"{name}\""),
            Self::Text(text) => format!("the text '{text}'"),
            Self::Number(number) => number.text().to_owned(),
            Self::Sign(sign) => format!("'{sign}'"),
            Self::End => "the end".into(),
        }
    }
}

/// Longer ones first, so that `<=` is not read as `<`. The second is what the first stands for.
const SIGNS: [(&str, &str); 12] = [
    ("<=", "<="),
    (">=", ">="),
    ("<>", "!="),
    ("!=", "!="),
    ("==", "="),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
    ("(", "("),
    (")", ")"),
    (",", ","),
    ("-", "-"),
];

/// All words and where they start, in bytes; the last is the end.
pub(super) fn lex(text: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, token) = match next {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '\'' => quoted(rest, '\'', at).map(|(n, text)| (n, Token::Text(text)))?,
            '"' | '`' => quoted(rest, next, at).map(|(n, name)| (n, Token::Quoted(name)))?,
            c if c.is_ascii_digit() || c == '.' => number(rest, at)?,
            c if c.is_alphabetic() || c == '_' => {
                let inside = |c: char| c.is_alphanumeric() || c == '_';
                let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
                (end, Token::Word(rest[..end].to_owned()))
            }
            c => match SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
                Some(&(sign, meaning)) => (sign.len(), Token::Sign(meaning)),
                None => return fault(at, format!("{c:?} has no meaning here")),
            },
        };
        tokens.push((at, token));
        at += length;
    }
    tokens.push((at, Token::End));
    Ok(tokens)
}

/// What stands between quotes, of which two inside stand for one; and its length with them.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(usize, String), Fault> {
    let mut inside = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        if c != quote {
            inside.push(c);
        } else if chars.next_if(|&(_, next)| next == quote).is_some() {
            inside.push(quote);
        } else {
            return Ok((i + 1, inside));
        }
    }
    fault(at, format!("{quote} is not closed"))
}

fn number(rest: &str, at: usize) -> Result<(usize, Token), Fault> {
    let mut exponent = false;
    let mut inside = |c: char| {
        let sign = exponent && (c == '-' || c == '+');
        exponent = matches!(c, 'e' | 'E');
        sign || c.is_ascii_alphanumeric() || c == '.'
    };
    let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
    let digits = &rest[..end];
    match Number::parse(digits) {
        Some(number) => Ok((end, Token::Number(number))),
        None => fault(at, format!("'{digits}' is no number")),
    }
}
