//! The parser. Where it stops and what it says are those of `CPython` 3.12's C scanner, and offsets
//! count characters. Nothing here knows about requests.

use super::{Object, Value, string::read_string};

/// Deeper nesting is refused, as the interpreter's own recursion limit would.
const MAX_DEPTH: usize = 1000;
/// The interpreter refuses to convert longer integers.
const MAX_INTEGER_DIGITS: usize = 4300;

/// Why a body is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Malformed: the offset counts characters.
    #[error("{text} at character {offset}")]
    Malformed {
        /// Where reading stopped, in characters.
        offset: usize,
        /// What the parser says about it.
        text: &'static str,
    },
    /// Not text at all (bad UTF-8, half of a surrogate pair), too deep, or an integer of absurd size.
    #[error("the body cannot be read as text")]
    Unreadable,
}

/// A stop, in bytes; it becomes characters once, at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    At(usize, &'static str),
    Unreadable,
}

/// Parses one body.
pub fn parse(body: &[u8]) -> Result<Value, ParseError> {
    let text = std::str::from_utf8(body).map_err(|_| ParseError::Unreadable)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser { text, lone_surrogate: false };
    let parsed = parser.document().map_err(|stop| match stop {
        Stop::At(byte, message) => {
            ParseError::Malformed { offset: characters_before(text, byte), text: message }
        }
        Stop::Unreadable => ParseError::Unreadable,
    })?;
    if parser.lone_surrogate { Err(ParseError::Unreadable) } else { Ok(parsed) }
}

fn characters_before(text: &str, byte: usize) -> usize {
    text.get(..byte).map_or_else(|| text.chars().count(), |before| before.chars().count())
}

struct Parser<'a> {
    text: &'a str,
    lone_surrogate: bool,
}

type Parsed<T> = Result<(T, usize), Stop>;

impl Parser<'_> {
    fn at(&self, place: usize) -> Option<u8> {
        self.text.as_bytes().get(place).copied()
    }

    fn skip_space(&self, mut place: usize) -> usize {
        while matches!(self.at(place), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            place += 1;
        }
        place
    }

    fn document(&mut self) -> Result<Value, Stop> {
        let (value, end) = self.value(self.skip_space(0), 0)?;
        let end = self.skip_space(end);
        if end == self.text.len() { Ok(value) } else { Err(Stop::At(end, "Extra data")) }
    }

    fn value(&mut self, place: usize, depth: usize) -> Parsed<Value> {
        if depth > MAX_DEPTH {
            return Err(Stop::Unreadable);
        }
        match self.at(place) {
            Some(b'"') => self.string(place + 1).map(|(text, end)| (Value::Text(text), end)),
            Some(b'{') => self.object(place + 1, depth),
            Some(b'[') => self.list(place + 1, depth),
            _ => self.word(place).map_or_else(|| number(self.text, place), Ok),
        }
    }

    fn string(&mut self, place: usize) -> Parsed<String> {
        let read = read_string(self.text, place)?;
        self.lone_surrogate |= read.lone_surrogate;
        Ok((read.text, read.end))
    }

    fn word(&self, place: usize) -> Option<(Value, usize)> {
        let words = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        let rest = self.text.get(place..)?;
        words
            .into_iter()
            .find(|(word, _)| rest.starts_with(word))
            .map(|(word, value)| (value, place + word.len()))
    }

    fn object(&mut self, place: usize, depth: usize) -> Parsed<Value> {
        let mut members = Vec::new();
        let mut place = self.skip_space(place);
        if self.at(place) == Some(b'}') {
            return Ok((Value::Object(Object::default()), place + 1));
        }
        loop {
            if self.at(place) != Some(b'"') {
                return Err(Stop::At(place, "Expecting property name enclosed in double quotes"));
            }
            let (key, end) = self.string(place + 1)?;
            place = self.skip_space(end);
            if self.at(place) != Some(b':') {
                return Err(Stop::At(place, "Expecting ':' delimiter"));
            }
            let (value, end) = self.value(self.skip_space(place + 1), depth + 1)?;
            members.push((key, value));
            place = self.skip_space(end);
            match self.at(place) {
                Some(b'}') => return Ok((Value::Object(Object::from_members(members)), place + 1)),
                Some(b',') => place = self.skip_space(place + 1),
                _ => return Err(Stop::At(place, "Expecting ',' delimiter")),
            }
        }
    }

    fn list(&mut self, place: usize, depth: usize) -> Parsed<Value> {
        let mut items = Vec::new();
        let mut place = self.skip_space(place);
        if self.at(place) == Some(b']') {
            return Ok((Value::List(items), place + 1));
        }
        loop {
            let (item, end) = self.value(place, depth + 1)?;
            items.push(item);
            place = self.skip_space(end);
            match self.at(place) {
                Some(b']') => return Ok((Value::List(items), place + 1)),
                Some(b',') => place = self.skip_space(place + 1),
                _ => return Err(Stop::At(place, "Expecting ',' delimiter")),
            }
        }
    }
}

/// A number, read as far as it goes; what follows is the caller's problem.
fn number(text: &str, start: usize) -> Parsed<Value> {
    let bytes = text.as_bytes();
    let at = |place: usize| bytes.get(place).copied();
    let digits = |mut place: usize| {
        while at(place).is_some_and(|byte| byte.is_ascii_digit()) {
            place += 1;
        }
        place
    };
    let first = if at(start) == Some(b'-') { start + 1 } else { start };
    let whole = match at(first) {
        Some(b'0') => first + 1,
        Some(b'1'..=b'9') => digits(first),
        _ => return Err(Stop::At(start, "Expecting value")),
    };
    let mut end = whole;
    if at(end) == Some(b'.') && at(end + 1).is_some_and(|byte| byte.is_ascii_digit()) {
        end = digits(end + 1);
    }
    if matches!(at(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(at(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        end = if exponent > end + 1 + sign { exponent } else { end };
    }
    let literal = text.get(start..end).unwrap_or_default();
    if end == whole {
        return if whole - first > MAX_INTEGER_DIGITS {
            Err(Stop::Unreadable)
        } else {
            Ok((integer(literal), end))
        };
    }
    literal.parse().map(|float| (Value::Float(float), end)).map_err(|_| Stop::Unreadable)
}

fn integer(literal: &str) -> Value {
    Value::Int(if literal == "-0" { "0".to_owned() } else { literal.to_owned() })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
