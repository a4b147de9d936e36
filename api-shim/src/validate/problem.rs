//! One entry of the list form, and the list.

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::json::{ParseError, Value};

/// A body of a million wrong items must not become an answer many times its size; nobody reads further.
const MAX_PROBLEMS: usize = 1000;

/// One step of a `loc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A field or a map key.
    Key(String),
    /// A place in a list.
    Index(usize),
    /// A character offset of malformed JSON.
    Offset(usize),
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Key(key) => serializer.serialize_str(key),
            Self::Index(number) | Self::Offset(number) => {
                serializer.serialize_u64(u64::try_from(*number).unwrap_or(u64::MAX))
            }
        }
    }
}

/// Where in the body something is; the answer's `loc`, which always begins with `body`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Vec<Step>);

impl Place {
    /// The body itself.
    #[must_use]
    pub fn body() -> Self {
        Self(vec![Step::Key("body".to_owned())])
    }

    /// A field or a map's value.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// A map's key itself.
    #[must_use]
    pub fn map_key(&self, key: &str) -> Self {
        self.key(key).key("[key]")
    }

    /// An item of a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

/// What an entry carries beside its message.
#[derive(Debug, Clone, PartialEq)]
pub enum Context {
    /// Nothing.
    None,
    /// The bound that was not kept, under its name.
    Bound(&'static str, i64),
    /// The pattern that did not match.
    Pattern(&'static str),
    /// What the JSON parser says.
    Error(&'static str),
    /// A check of our own: an empty object under `error`.
    Own,
}

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The closed word for the case.
    pub kind: &'static str,
    /// Where.
    pub place: Place,
    /// The sentence.
    pub message: String,
    /// The offending value.
    pub input: Value,
    /// What else there is to know.
    pub context: Context,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.kind)?;
        map.serialize_entry("loc", &self.place.0)?;
        map.serialize_entry("msg", &self.message)?;
        map.serialize_entry("input", &self.input)?;
        match self.context {
            Context::None => {}
            Context::Bound(name, bound) => map.serialize_entry("ctx", &Single(name, bound))?,
            Context::Pattern(pattern) => map.serialize_entry("ctx", &Single("pattern", pattern))?,
            Context::Error(text) => map.serialize_entry("ctx", &Single("error", text))?,
            Context::Own => map.serialize_entry("ctx", &Single("error", Empty {}))?,
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Empty {}

struct Single<T>(&'static str, T);

impl<T: Serialize> Serialize for Single<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, &self.1)?;
        map.end()
    }
}

/// Everything that is wrong with one body, in the order in which it was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds an entry.
    pub fn add(&mut self, kind: &'static str, place: &Place, input: &Value, message: impl Into<String>) {
        self.add_with(kind, place, input, message, Context::None);
    }

    /// Adds an entry with a context.
    pub fn add_with(
        &mut self,
        kind: &'static str,
        place: &Place,
        input: &Value,
        message: impl Into<String>,
        context: Context,
    ) {
        if self.0.len() >= MAX_PROBLEMS {
            return;
        }
        self.0.push(Problem {
            kind,
            place: place.clone(),
            message: message.into(),
            input: input.clone(),
            context,
        });
    }

    /// Adds an entry for a check of our own.
    pub fn add_own(&mut self, place: &Place, input: &Value, text: &str) {
        self.add_with("value_error", place, input, format!("Value error, {text}"), Context::Own);
    }

    /// A required field that is absent; `holder` is the object that lacks it.
    pub fn missing(&mut self, place: &Place, holder: &Value) {
        self.add("missing", place, holder, "Field required");
    }

    /// The list when the body had no bytes.
    #[must_use]
    pub fn empty_body() -> Self {
        let mut problems = Self::default();
        problems.missing(&Place::body(), &Value::Null);
        problems
    }

    /// The list for a body that is not JSON, or nothing when it is not even text.
    #[must_use]
    pub fn not_json(error: &ParseError) -> Option<Self> {
        let ParseError::Malformed { offset, text } = error else { return None };
        let place = Place::body().then(Step::Offset(*offset));
        let input = Value::Object(crate::json::Object::default());
        let mut problems = Self::default();
        problems.add_with("json_invalid", &place, &input, "JSON decode error", Context::Error(text));
        Some(problems)
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Problem] {
        &self.0
    }

    /// The value when nothing was wrong, otherwise the list.
    pub fn verdict<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}
