//! PUT.

use std::sync::Arc;

use crate::api::{
    admission,
    core::Core,
    decode::object,
    respond::{Answer, Reply},
    status_error::{Result, StatusError},
    verbs::{
        Part, Request,
        write::{ATTEMPTS, Change, check_identity, merge, store},
    },
};

/// What the API server calls the options of this verb.
const OPTIONS: &str = "UpdateOptions";

pub(super) async fn run(core: &Arc<Core>, request: &Request, part: Part) -> Result<Answer> {
    let kind = &request.target.kind;
    let name = request.object_name();
    let dry_run = request.params.dry_run(OPTIONS)?;
    let decoded = object(kind, &request.body, &request.content_type)?;
    let settled = admission::settle(kind, decoded, request.params.field_validation(OPTIONS)?)?;
    for _ in 0..ATTEMPTS {
        let old = core.get(kind, &name)?;
        let versioned = check_identity(kind, &old, &settled.value, Change::Replace)?;
        let next = merge(kind, &old.value, settled.value.clone(), part);
        admission::validate(kind, &next, Some(&old.value), part)?;
        if dry_run {
            return Ok(Answer { reply: Reply::Unstored(next), code: 200, warnings: settled.warnings });
        }
        match store(core, kind, &old, next).await {
            Ok(object) => {
                return Ok(Answer { reply: Reply::Object(object), code: 200, warnings: settled.warnings });
            }
            Err(refused) if refused.raced && !versioned => {}
            Err(refused) => return Err(refused.status),
        }
    }
    Err(StatusError::conflict(kind, &name.name))
}
