//! Reading the fields of one object in table order, under any of their names.

use std::borrow::Cow;

use super::{Place, Problems};
use crate::json::{Object, Value};

/// A field's canonical name and the other spellings it is accepted under, best first.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// What errors call it.
    pub canonical: &'static str,
    /// Other spellings. A camelCase one may also begin with a capital.
    pub also: &'static [&'static str],
}

impl Names {
    /// A field with one spelling.
    #[must_use]
    pub const fn only(canonical: &'static str) -> Self {
        Self { canonical, also: &[] }
    }

    /// The value under the best spelling that is present.
    #[must_use]
    pub fn find<'a>(&self, object: &'a Object) -> Option<&'a Value> {
        let spelled =
            |name: &&str| object.get(name).or_else(|| capitalised(name).and_then(|name| object.get(&name)));
        object.get(self.canonical).or_else(|| self.also.iter().find_map(spelled))
    }
}

/// `sourceCode` as `SourceCode`. Only a name with an inner capital is camelCase.
fn capitalised(name: &str) -> Option<Cow<'static, str>> {
    let is_camel = name.bytes().any(|byte| byte.is_ascii_uppercase());
    let (first, rest) = name.split_at_checked(1)?;
    is_camel.then(|| Cow::Owned(first.to_ascii_uppercase() + rest))
}

/// The reader of one object. Problems are collected, so that all of them are told at once.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Object,
    holder: &'a Value,
    place: Place,
    problems: &'a mut Problems,
}

impl<'a> Fields<'a> {
    /// A reader of the object at `place`; anything but an object is the one problem there is.
    pub fn of(holder: &'a Value, place: Place, problems: &'a mut Problems) -> Option<Self> {
        let Value::Object(object) = holder else {
            let message = "Input should be a valid dictionary or object to extract fields from";
            problems.add("model_attributes_type", &place, holder, message);
            return None;
        };
        Some(Self { object, holder, place, problems })
    }

    /// A field that must be there.
    pub fn required<T>(
        &mut self,
        names: Names,
        check: impl FnOnce(&Value, &Place, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        let place = self.place.key(names.canonical);
        if let Some(value) = names.find(self.object) {
            return check(value, &place, self.problems);
        }
        self.problems.missing(&place, self.holder);
        None
    }

    /// A field that may be absent: `Some(default)` then, `None` when it is wrong.
    pub fn optional<T>(
        &mut self,
        names: Names,
        default: T,
        check: impl FnOnce(&Value, &Place, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        let place = self.place.key(names.canonical);
        names.find(self.object).map_or(Some(default), |value| check(value, &place, self.problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    const DOWNLOADS: Names =
        Names { canonical: "max_downloads", also: &["maxDownloads", "limitDownloads", "limit"] };

    fn found(body: &str) -> Option<i64> {
        let Ok(Value::Object(object)) = parse(body.as_bytes()) else { panic!("not an object: {body}") };
        DOWNLOADS.find(&object).and_then(Value::as_i64)
    }

    #[test]
    fn the_canonical_name_wins_then_the_leftmost_spelling() {
        assert_eq!(found(r#"{"limit":4,"maxDownloads":2,"max_downloads":1}"#), Some(1));
        assert_eq!(found(r#"{"limit":4,"limitDownloads":3,"maxDownloads":2}"#), Some(2));
        assert_eq!(found(r#"{"limit":4,"limitDownloads":3}"#), Some(3));
        assert_eq!(found(r#"{"limit":4}"#), Some(4));
    }

    #[test]
    fn only_a_camel_case_spelling_may_begin_with_a_capital() {
        assert_eq!(found(r#"{"MaxDownloads":2}"#), Some(2));
        assert_eq!(found(r#"{"Limit":4}"#), None);
        assert_eq!(found(r#"{"Max_downloads":4}"#), None);
    }
}
