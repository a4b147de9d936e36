//! Reads the label selector language: words, then requirements. Refuses in the API server's words.
//! Not here: what a requirement holds of (`labels`).

use super::labels::{Requirement, Test};
use crate::api::{admission::names, field_error::FieldError};

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// A word of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'a str),
    End,
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::Word(text) | Token::Symbol(text) => text,
            Token::End => "",
        }
    }

    fn is(self, symbol: &str) -> bool {
        self == Token::Symbol(symbol)
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

/// Reads all requirements of a selector.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut all = Vec::new();
    loop {
        match parser.peek() {
            Token::End => return Ok(all),
            token if matches!(token, Token::Word(_)) || token.is("!") => {}
            other => {
                return Err(format!("found '{}', expected: !, identifier, or 'end of string'", other.text()));
            }
        }
        let requirement = parser.requirement();
        all.push(requirement.map_err(|why| format!("unable to parse requirement: {why}"))?);
        match parser.next() {
            Token::End => return Ok(all),
            token if token.is(",") => match parser.peek() {
                Token::Word(_) => {}
                token if token.is("!") => {}
                other => return Err(format!("found '{}', expected: identifier after ','", other.text())),
            },
            other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
        }
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", ">", "<", "(", ")", ","];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(*symbol));
        let end = |c: char| c.is_ascii_whitespace() || "=!<>(),".contains(c);
        let length = symbol.map_or_else(|| rest.find(end).unwrap_or(rest.len()), str::len);
        let (word, after) = rest.split_at(length);
        tokens.push(if symbol.is_some() { Token::Symbol(word) } else { Token::Word(word) });
        rest = after.trim_start();
    }
    tokens
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.at).copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn word(&mut self) -> Result<&'a str, String> {
        match self.next() {
            Token::Word(word) => Ok(word),
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let missing = self.peek().is("!");
        self.at += usize::from(missing);
        let key = self.word()?;
        if let Some(why) = names::qualified(key).into_iter().next() {
            return Err(FieldError::invalid("", key, why).to_string());
        }
        let key = key.to_owned();
        let ends = self.peek() == Token::End || self.peek().is(",");
        if missing {
            return Ok(Requirement { key, test: Test::Missing });
        }
        if ends {
            return Ok(Requirement { key, test: Test::Exists });
        }
        let test = self.test(&key)?;
        Ok(Requirement { key, test })
    }

    fn test(&mut self, key: &str) -> Result<Test, String> {
        let operator = self.next();
        Ok(match operator.text() {
            "in" => Test::In(self.values(key)?),
            "notin" => Test::NotIn(self.values(key)?),
            "=" | "==" => Test::In(vec![self.value(key)?]),
            "!=" => Test::NotIn(vec![self.value(key)?]),
            ">" => Test::Above(number(&self.value(key)?)?),
            "<" => Test::Below(number(&self.value(key)?)?),
            other => return Err(format!("found '{other}', expected: {OPERATORS}")),
        })
    }

    /// One value; none is the empty one.
    fn value(&mut self, key: &str) -> Result<String, String> {
        if self.peek() == Token::End || self.peek().is(",") {
            return Ok(String::new());
        }
        let value = self.word()?;
        checked(key, 0, value)
    }

    fn values(&mut self, key: &str) -> Result<Vec<String>, String> {
        let open = self.next();
        if !open.is("(") {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        let mut values = Vec::new();
        let mut wanted = true;
        loop {
            match self.next() {
                Token::Word(word) if wanted => {
                    values.push(checked(key, values.len(), word)?);
                    wanted = false;
                }
                Token::Symbol(",") => {
                    if wanted {
                        values.push(String::new());
                    }
                    wanted = true;
                }
                Token::Symbol(")") => {
                    if wanted && !values.is_empty() {
                        values.push(String::new());
                    }
                    return Ok(values);
                }
                other if wanted => {
                    return Err(format!("found '{}', expected: ',', ')' or identifier", other.text()));
                }
                other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
            }
        }
    }
}

fn checked(key: &str, at: usize, value: &str) -> Result<String, String> {
    match names::label_value(value).into_iter().next() {
        None => Ok(value.to_owned()),
        Some(why) => Err(FieldError::invalid(&format!("values[{at}][{key}]"), value, why).to_string()),
    }
}

fn number(text: &str) -> Result<i64, String> {
    let why = "for 'Gt', 'Lt' operators, the value must be an integer";
    text.parse().map_err(|_| FieldError::invalid("values[0]", text, why).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_with_what_was_expected() {
        for (text, why) in [
            ("app===x", "unable to parse requirement: found '=', expected: identifier"),
            ("a in b)", "unable to parse requirement: found 'b' expected: '('"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a,,b", "found ',', expected: identifier after ','"),
            ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ] {
            assert_eq!(parse(text).unwrap_err(), why, "{text}");
        }
        assert!(parse("a>b").is_err() && parse("-a").is_err());
    }
}
