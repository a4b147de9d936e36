//! What the options of a list or watch may be together. Pure.

use serde_json::json;

use crate::api::{
    field_error::FieldError,
    params::Params,
    status_error::{Result, StatusError},
};

const MATCH: &str = "resourceVersionMatch";
const INITIAL: &str = "sendInitialEvents";

/// Checks the options of a list.
pub(super) fn check_list(params: &Params) -> Result<()> {
    let mut errors = Vec::new();
    if let Some(matching) = params.text(MATCH) {
        let version = params.text("resourceVersion");
        if version.is_none() {
            errors.push(FieldError::forbidden(
                MATCH,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        check_match(params, matching, &["Exact", "NotOlderThan", ""], &mut errors);
        if matching == "Exact" && version == Some("0") {
            errors.push(FieldError::forbidden(
                MATCH,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if params.flag(INITIAL).is_some() {
        errors.push(FieldError::forbidden(INITIAL, "sendInitialEvents is forbidden for list"));
    }
    finish(&errors)
}

/// Checks the options of a watch.
pub(super) fn check_watch(params: &Params) -> Result<()> {
    let mut errors = Vec::new();
    let initial = params.flag(INITIAL).is_some();
    let matching = params.text(MATCH);
    if initial && matching != Some("NotOlderThan") {
        errors.push(FieldError::forbidden(
            MATCH,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if let Some(matching) = matching {
        if !initial {
            errors.push(FieldError::forbidden(
                MATCH,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        check_match(params, matching, &["NotOlderThan"], &mut errors);
    }
    finish(&errors)
}

fn check_match(params: &Params, matching: &str, supported: &[&str], errors: &mut Vec<FieldError>) {
    if params.text("continue").is_some() {
        errors.push(FieldError::forbidden(
            MATCH,
            "resourceVersionMatch is forbidden when continue is provided",
        ));
    }
    if !supported.contains(&matching) {
        let supported: Vec<String> = supported.iter().map(|&one| one.to_owned()).collect();
        errors.push(FieldError::not_supported(MATCH, json!(matching), &supported));
    }
}

fn finish(errors: &[FieldError]) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(StatusError::invalid("meta.k8s.io", "ListOptions", "", errors))
}
