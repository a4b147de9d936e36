//! GET of one object.

use crate::api::{
    core::Core,
    respond::{Answer, Reply},
    status_error::{Result, StatusError},
    verbs::Request,
};

pub(super) fn run(core: &Core, request: &Request) -> Result<Answer> {
    request.params.version().map_err(|error| StatusError::new(500, "", error.to_string()))?;
    let object = core.get(&request.target.kind, &request.object_name())?;
    Ok(Answer::ok(Reply::Object(object)))
}
