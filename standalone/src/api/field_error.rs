//! One thing wrong with one field, worded as the API server words it.
//! Not here: which rule finds it (`admission`).

use std::fmt;

use serde_json::{Value, json};

/// What is wrong with a field; the names are the wire values of `details.causes[].reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorType {
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    TypeInvalid,
}

impl ErrorType {
    fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
        }
    }
}

/// An error type, the field's path, its value where one is shown, and the explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) kind: ErrorType,
    field: String,
    /// As it is shown.
    value: Option<String>,
    detail: String,
}

impl FieldError {
    fn new(kind: ErrorType, field: &str, value: Option<String>, detail: impl Into<String>) -> Self {
        let field = if field.is_empty() { "<nil>" } else { field };
        Self { kind, field: field.to_owned(), value, detail: detail.into() }
    }

    pub(crate) fn required(field: &str, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Required, field, None, detail)
    }

    pub(crate) fn forbidden(field: &str, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Forbidden, field, None, detail)
    }

    pub(crate) fn duplicate(field: &str, value: impl Into<Value>) -> Self {
        Self::new(ErrorType::Duplicate, field, Some(shown(&value.into())), "")
    }

    pub(crate) fn invalid(field: &str, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Invalid, field, Some(shown(&value.into())), detail)
    }

    /// With the value written as the caller wants it.
    pub(crate) fn invalid_shown(field: &str, value: String, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Invalid, field, Some(value), detail)
    }

    pub(crate) fn invalid_without_value(field: &str, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Invalid, field, None, detail)
    }

    pub(crate) fn type_invalid(field: &str, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::TypeInvalid, field, Some(shown(&value.into())), detail)
    }

    pub(crate) fn not_supported(field: &str, value: impl Into<Value>, supported: &[String]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Self::new(ErrorType::NotSupported, field, Some(shown(&value.into())), detail)
    }

    pub(crate) fn too_long(field: &str, most: u64) -> Self {
        let unit = if most == 1 { "byte" } else { "bytes" };
        Self::new(ErrorType::TooLong, field, None, format!("may not be more than {most} {unit}"))
    }

    pub(crate) fn too_many(field: &str, found: usize, most: u64) -> Self {
        let unit = if most == 1 { "item" } else { "items" };
        Self::new(
            ErrorType::TooMany,
            field,
            Some(found.to_string()),
            format!("must have at most {most} {unit}"),
        )
    }

    /// The text without the field's path.
    fn body(&self) -> String {
        let mut body = self.kind.text().to_owned();
        if let Some(value) = &self.value {
            body.push_str(": ");
            body.push_str(value);
        }
        if !self.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&self.detail);
        }
        body
    }

    /// The entry of `details.causes`.
    pub(crate) fn cause(&self) -> Value {
        json!({"reason": self.kind.reason(), "message": self.body(), "field": self.field})
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// Go quotes a string as Rust's Debug does, close enough for every printable text.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsupported_value_lists_the_supported_ones() {
        let supported = ["Python".to_owned(), "Bash".to_owned()];
        let error = FieldError::not_supported("spec.interpreter", json!("Perl"), &supported);
        assert_eq!(
            error.to_string(),
            r#"spec.interpreter: Unsupported value: "Perl": supported values: "Python", "Bash""#
        );
    }

    #[test]
    fn the_root_is_shown_as_nil() {
        assert_eq!(FieldError::invalid("", Value::Null, "no").to_string(), "<nil>: Invalid value: null: no");
    }
}
