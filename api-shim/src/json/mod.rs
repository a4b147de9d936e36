//! JSON bodies as the original services read them: the grammar, the places where reading stops and
//! the texts that say why are those of `CPython`'s `json` module. Not a general JSON library: answers
//! are written with `serde_json`, only values that came in are echoed from here.

mod count;
mod object;
mod parse;
mod string;
mod write;

pub use count::values_in;
pub use object::Object;
pub use parse::{ParseError, parse};

/// One value of a request body.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of any size, as its decimal digits.
    Int(String),
    /// A number with a fraction or an exponent, and `NaN` and `Infinity`, which `CPython` accepts.
    Float(f64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object; the keys keep the order of their first appearance, the last value wins.
    Object(Object),
}

impl Value {
    /// The integer when it is one and fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(digits) => digits.parse().ok(),
            _ => None,
        }
    }
}
