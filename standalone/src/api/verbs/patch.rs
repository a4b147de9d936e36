//! PATCH: the three forms that are offered, and a helpful refusal of server-side apply.

use std::sync::Arc;

use serde_json::Value;

use crate::api::{
    admission,
    core::Core,
    decode::{Decoded, json, media_type},
    kinds::Kind,
    patch::strategic,
    respond::{Answer, Reply},
    status_error::{Result, StatusError},
    verbs::{
        Part, Request,
        write::{ATTEMPTS, check_identity, merge, store},
    },
};

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
    let dry_run = request.params.dry_run()?;
    let validation = request.params.field_validation()?;
    let (patch, duplicates) = parse(kind, request)?;
    for _ in 0..ATTEMPTS {
        let old = core.get(kind, &name)?;
        let value = apply(kind, &patch, &old.value)?;
        let decoded = Decoded { value, duplicates: duplicates.clone() };
        let settled = admission::settle(kind, decoded, validation)?;
        check_identity(kind, &old, &settled.value)?;
        let next = merge(kind, &old.value, settled.value, part);
        admission::validate(kind, &next, Some(&old.value))?;
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

/// Decodes the patch by its content type.
pub(super) fn parse(kind: &Kind, request: &Request) -> Result<(Patch, Vec<String>)> {
    let broken =
        |error: serde_json::Error| StatusError::bad_request(format!("error decoding patch: {error}"));
    match media_type(&request.content_type) {
        "application/merge-patch+json" => {
            let decoded = json(&request.body).map_err(broken)?;
            Ok((Patch::Merge(decoded.value), decoded.duplicates))
        }
        "application/json-patch+json" => {
            Ok((Patch::Json(serde_json::from_slice(&request.body).map_err(broken)?), vec![]))
        }
        "application/strategic-merge-patch+json" if kind.custom().is_none() => {
            let decoded = json(&request.body).map_err(broken)?;
            Ok((Patch::Strategic(decoded.value), decoded.duplicates))
        }
        "application/apply-patch+yaml" => Err(StatusError::unsupported_media_type(
            "server-side apply is not offered by this API; use a client-side apply (kubectl apply without \
             --server-side), or one of application/json-patch+json, application/merge-patch+json",
        )),
        _ => Err(StatusError::unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json",
        )),
    }
}

/// The object as the patch wants it.
pub(super) fn apply(kind: &Kind, patch: &Patch, stored: &Value) -> Result<Value> {
    let mut value = kind.view(stored).unwrap_or_else(|| stored.clone());
    match patch {
        Patch::Merge(patch) | Patch::Strategic(patch) if !patch.is_object() => {
            return Err(StatusError::bad_request("the patch is not a JSON object"));
        }
        Patch::Merge(patch) => json_patch::merge(&mut value, patch),
        Patch::Strategic(patch) => strategic::merge(&mut value, patch),
        Patch::Json(patch) => json_patch::patch(&mut value, patch).map_err(|error| {
            StatusError::new(
                422,
                "Invalid",
                format!("the server rejected our request due to an error in our request: {error}"),
            )
        })?,
    }
    Ok(value)
}
