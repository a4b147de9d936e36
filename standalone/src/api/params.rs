//! The query of a request, and what its values may be.

use std::collections::HashMap;

use axum::extract::Query;
use http::Uri;
use serde_json::json;

use super::{
    admission::FieldValidation,
    field_error::FieldError,
    status_error::{Result, StatusError},
};

/// The decoded query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(HashMap<String, String>);

impl Params {
    pub(crate) fn parse(uri: &Uri) -> Result<Self> {
        Query::<HashMap<String, String>>::try_from_uri(uri)
            .map(|Query(all)| Self(all))
            .map_err(|error| StatusError::bad_request(error.body_text()))
    }

    /// A value that is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name).map(String::as_str) {
            Some("" | "true" | "1") => Some(true),
            Some("false" | "0") => Some(false),
            _ => None,
        }
    }

    /// A number that must be one; below zero it counts as absent.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse::<i64>().map(|number| u64::try_from(number).ok()).map_err(|_| {
            StatusError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        })
    }

    /// A resourceVersion: nothing, 0 (any), or an exact one. What is wrong with it, each verb says in its own way.
    pub(crate) fn version(&self) -> Result<Option<u64>, FieldError> {
        let Some(text) = self.text("resourceVersion") else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            FieldError::invalid("resourceVersion", json!(text), why)
        })
    }

    /// `options` is what the API server calls the options of the verb.
    pub(crate) fn dry_run(&self, options: &str) -> Result<bool> {
        match self.text("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(StatusError::invalid(
                "meta.k8s.io",
                options,
                "",
                &[FieldError::not_supported("dryRun", json!([other]), &["All".to_owned()])],
            )),
        }
    }

    /// `options` is what the API server calls the options of the verb.
    pub(crate) fn field_validation(&self, options: &str) -> Result<FieldValidation> {
        match self.text("fieldValidation") {
            None | Some("Warn") => Ok(FieldValidation::Warn),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some(other) => Err(StatusError::invalid(
                "meta.k8s.io",
                options,
                "",
                &[FieldError::not_supported(
                    "fieldValidation",
                    json!(other),
                    &[String::new(), "Ignore".to_owned(), "Strict".to_owned(), "Warn".to_owned()],
                )],
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(&format!("/x?{query}").parse().unwrap()).unwrap()
    }

    #[test]
    fn values_are_checked() {
        let all = params("watch=1&limit=5&resourceVersion=7&labelSelector=a%3Db&dryRun=All");
        assert_eq!(all.flag("watch"), Some(true));
        assert_eq!(all.number("limit").unwrap(), Some(5));
        assert_eq!(all.version().unwrap(), Some(7));
        assert_eq!(all.text("labelSelector"), Some("a=b"));
        assert!(all.dry_run("CreateOptions").unwrap());
        assert_eq!(params("dryRun=Some").dry_run("CreateOptions").unwrap_err().code, 422);
        assert!(params("resourceVersion=x").version().is_err());
        assert_eq!(params("limit=-1").number("limit").unwrap(), None);
        let wrong = params("fieldValidation=Loose").field_validation("PatchOptions").unwrap_err();
        assert!(wrong.message.starts_with("PatchOptions.meta.k8s.io"));
    }
}
