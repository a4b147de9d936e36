//! PATCH: the three forms that are offered, and a helpful refusal of server-side apply.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{
    admission::{self, FieldValidation, Settled},
    core::Core,
    decode::{self, Decoded, media_type},
    field_error::FieldError,
    go_words,
    kinds::Kind,
    patch::strategic,
    respond::{Answer, Reply},
    status_error::{Result, StatusError},
    verbs::{
        Part, Request,
        write::{ATTEMPTS, Change, check_identity, merge, store},
    },
};

/// What the API server calls the options of this verb.
const OPTIONS: &str = "PatchOptions";

/// A decoded patch.
#[derive(Debug)]
pub(super) enum Patch {
    Merge(Value),
    Json(json_patch::Patch),
    Strategic(Value),
}

pub(super) async fn run(core: &Arc<Core>, request: &Request, part: Part) -> Result<Answer> {
    let kind = &request.target.kind;
    let name = request.object_name();
    let dry_run = request.params.dry_run(OPTIONS)?;
    let validation = request.params.field_validation(OPTIONS)?;
    let (patch, duplicates) = parse(kind, request)?;
    for _ in 0..ATTEMPTS {
        let old = core.get(kind, &name)?;
        let value = apply(kind, &patch, &old.value)?;
        let decoded = Decoded { value, duplicates: duplicates.clone() };
        let settled = settle(kind, decoded, validation)?;
        check_identity(kind, &old, &settled.value, Change::Patch)?;
        let next = merge(kind, &old.value, settled.value, part);
        admission::validate(kind, &next, Some(&old.value), part)?;
        if dry_run {
            return Ok(Answer { reply: Reply::Unstored(next), code: 200, warnings: settled.warnings });
        }
        match store(core, kind, &old, next).await {
            Ok(object) => {
                return Ok(Answer { reply: Reply::Object(object), code: 200, warnings: settled.warnings });
            }
            // On the newest version; a resourceVersion in the patch then no longer matches and ends the loop.
            Err(refused) if refused.raced => {}
            Err(refused) => return Err(refused.status),
        }
    }
    Err(StatusError::conflict(kind, &name.name))
}

/// As on create, but what cannot be read is the patch's fault.
fn settle(kind: &Kind, decoded: Decoded, validation: FieldValidation) -> Result<Settled> {
    let patched = decoded.value.to_string();
    let fault =
        |why: String| StatusError::invalid("", "", "", &[FieldError::invalid("patch", json!(patched), why)]);
    let mut settled = admission::settle_leniently(kind, decoded).map_err(|error| fault(error.message))?;
    if validation == FieldValidation::Strict && !settled.warnings.is_empty() {
        return Err(fault(admission::strictly(&settled.warnings)));
    }
    if validation != FieldValidation::Warn {
        settled.warnings.clear();
    }
    Ok(settled)
}

/// Decodes the patch by its content type.
pub(super) fn parse(kind: &Kind, request: &Request) -> Result<(Patch, Vec<String>)> {
    match media_type(&request.content_type) {
        "application/merge-patch+json" => {
            let (value, duplicates) = fields(&request.body)?;
            Ok((Patch::Merge(value), duplicates))
        }
        "application/json-patch+json" => {
            let value = decoded(&request.body)?.value;
            if !value.is_array() {
                return Err(not_into(&value, "[]handlers.jsonPatchOp"));
            }
            let patch = serde_json::from_value(value).map_err(|error| broken(&error))?;
            Ok((Patch::Json(patch), vec![]))
        }
        "application/strategic-merge-patch+json" if kind.custom().is_none() => {
            let (value, duplicates) = fields(&request.body)?;
            Ok((Patch::Strategic(value), duplicates))
        }
        "application/apply-patch+yaml" => Err(StatusError::unsupported_media_type(
            "server-side apply is not offered by this API; use a client-side apply (kubectl apply without \
             --server-side), or one of application/json-patch+json, application/merge-patch+json",
        )),
        _ => {
            let strategic =
                if kind.custom().is_none() { ", application/strategic-merge-patch+json" } else { "" };
            Err(StatusError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json{strategic}"
            )))
        }
    }
}

fn broken(why: impl std::fmt::Display) -> StatusError {
    StatusError::bad_request(format!("error decoding patch: {why}"))
}

fn not_into(value: &Value, wanted: &str) -> StatusError {
    let found = go_words::type_of(value);
    broken(format!("json: cannot unmarshal {found} into Go value of type {wanted}"))
}

fn decoded(body: &[u8]) -> Result<Decoded> {
    decode::json(body).map_err(|error| broken(go_words::json(&error, body)))
}

/// A patch that is an object, and the fields that it names twice.
fn fields(body: &[u8]) -> Result<(Value, Vec<String>)> {
    let Decoded { value, duplicates } = decoded(body)?;
    if value.is_object() { Ok((value, duplicates)) } else { Err(not_into(&value, "map[string]interface {}")) }
}

/// The object as the patch wants it.
pub(super) fn apply(kind: &Kind, patch: &Patch, stored: &Value) -> Result<Value> {
    let mut value = kind.view(stored).unwrap_or_else(|| stored.clone());
    match patch {
        Patch::Merge(patch) => json_patch::merge(&mut value, patch),
        Patch::Strategic(patch) => strategic::merge(&mut value, patch),
        Patch::Json(patch) => {
            json_patch::patch(&mut value, patch).map_err(|_| StatusError::unprocessable())?;
        }
    }
    Ok(value)
}
