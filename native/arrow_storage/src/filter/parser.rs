//! From words to a tree, by recursive descent.

use super::lexer::{Token, lex};
use super::{Expression, Fault, Op, Operand, Value, fault};

/// How deep parentheses and NOT may be nested.
const DEPTH: usize = 64;

/// Words that no column has without quotes.
const KEYWORDS: [&str; 11] =
    ["and", "or", "not", "in", "is", "null", "like", "ilike", "between", "true", "false"];

pub(super) fn parse(text: &str) -> Result<Expression, Fault> {
    let mut parser = Parser { tokens: lex(text)?, next: 0, depth: 0 };
    let expression = parser.or()?;
    match parser.peek() {
        (_, Token::End) => Ok(expression),
        (at, token) => fault(at, format!("expected AND or OR, got {}", token.show())),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> (usize, &Token) {
        let (at, token) = &self.tokens[self.next];
        (*at, token)
    }

    /// Take a word; the end stays.
    fn take(&mut self) -> (usize, Token) {
        let word = self.tokens[self.next].clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        word
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let hit = matches!(self.peek().1, Token::Word(w) if w.eq_ignore_ascii_case(keyword));
        if hit {
            self.take();
        }
        hit
    }

    fn sign(&mut self, sign: &str) -> bool {
        let hit = matches!(self.peek().1, Token::Sign(s) if *s == sign);
        if hit {
            self.take();
        }
        hit
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        if self.sign(sign) { Ok(()) } else { self.expected(&format!("'{sign}'")) }
    }

    fn expected<T>(&self, what: &str) -> Result<T, Fault> {
        let (at, token) = self.peek();
        fault(at, format!("expected {what}, got {}", token.show()))
    }

    fn or(&mut self) -> Result<Expression, Fault> {
        self.chain("or", Self::and, Expression::Or)
    }

    fn and(&mut self) -> Result<Expression, Fault> {
        self.chain("and", Self::not, Expression::And)
    }

    fn chain(
        &mut self,
        keyword: &str,
        mut part: impl FnMut(&mut Self) -> Result<Expression, Fault>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Result<Expression, Fault> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.keyword(keyword) {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
    }

    fn not(&mut self) -> Result<Expression, Fault> {
        let at = self.peek().0;
        self.depth += 1;
        if self.depth > DEPTH {
            return fault(at, format!("more than {DEPTH} levels of NOT and parentheses"));
        }
        let found = if self.keyword("not") {
            Expression::Not(Box::new(self.not()?))
        } else if self.sign("(") {
            let inside = self.or()?;
            self.expect(")")?;
            inside
        } else {
            self.predicate()?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn predicate(&mut self) -> Result<Expression, Fault> {
        let left = self.operand()?;
        let op = match self.peek().1 {
            Token::Sign("=") => Some(Op::Eq),
            Token::Sign("!=") => Some(Op::NotEq),
            Token::Sign("<") => Some(Op::Lt),
            Token::Sign("<=") => Some(Op::LtEq),
            Token::Sign(">") => Some(Op::Gt),
            Token::Sign(">=") => Some(Op::GtEq),
            _ => None,
        };
        if let Some(op) = op {
            self.take();
            return Ok(Expression::Compare(left, op, self.operand()?));
        }
        if self.keyword("is") {
            let negated = self.keyword("not");
            if !self.keyword("null") {
                return self.expected(if negated { "NULL" } else { "NULL or NOT NULL" });
            }
            return Ok(negate(negated, Expression::IsNull(left)));
        }
        let negated = self.keyword("not");
        if self.keyword("in") {
            self.expect("(")?;
            let mut values = vec![self.value()?];
            while self.sign(",") {
                values.push(self.value()?);
            }
            self.expect(")")?;
            return Ok(negate(negated, Expression::In(left, values)));
        }
        if self.keyword("between") {
            let low = self.operand()?;
            if !self.keyword("and") {
                return self.expected("AND and the upper end");
            }
            let high = self.operand()?;
            let lower = Expression::Compare(left.clone(), Op::GtEq, low);
            let upper = Expression::Compare(left, Op::LtEq, high);
            return Ok(negate(negated, Expression::And(vec![lower, upper])));
        }
        for (keyword, any_case) in [("like", false), ("ilike", true)] {
            if self.keyword(keyword) {
                return match self.take() {
                    (_, Token::Text(pattern)) => {
                        Ok(negate(negated, Expression::Like { side: left, pattern, any_case }))
                    }
                    (at, token) => {
                        fault(at, format!("expected a pattern in quotes, got {}", token.show()))
                    }
                };
            }
        }
        if negated { self.expected("IN, LIKE, ILIKE or BETWEEN") } else { Ok(Expression::Is(left)) }
    }

    fn operand(&mut self) -> Result<Operand, Fault> {
        let (at, token) = self.peek();
        let keyword = |w: &String| KEYWORDS.contains(&w.to_ascii_lowercase().as_str());
        match token {
            Token::Quoted(name) => {
                let name = name.clone();
                self.take();
                Ok(Operand::Column(name, at))
            }
            Token::Word(name) if !keyword(name) => {
                let name = name.clone();
                self.take();
                Ok(Operand::Column(name, at))
            }
            _ => self.value().map(|(value, at)| Operand::Value(value, at)),
        }
    }

    fn value(&mut self) -> Result<(Value, usize), Fault> {
        let at = self.peek().0;
        let negative = self.sign("-");
        let value = match self.peek().1.clone() {
            Token::Number(number) if negative => Value::Number(number.negated()),
            Token::Number(number) => Value::Number(number),
            _ if negative => return self.expected("a number after '-'"),
            Token::Text(text) => Value::Text(text),
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Value::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Value::Bool(false),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => {
                return fault(
                    at,
                    "expected IS NULL or IS NOT NULL, got NULL, which nothing equals",
                );
            }
            _ => return self.expected("a column or a value"),
        };
        self.take();
        Ok((value, at))
    }
}

fn negate(negated: bool, expression: Expression) -> Expression {
    if negated { Expression::Not(Box::new(expression)) } else { expression }
}
