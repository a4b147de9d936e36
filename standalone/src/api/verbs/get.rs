//! GET of one object.

use crate::api::{
    core::Core,
    respond::{Answer, Reply},
    status_error::Result,
    verbs::Request,
};

pub(super) fn run(core: &Core, request: &Request) -> Result<Answer> {
    let object = core.get(&request.target.kind, &request.object_name())?;
    Ok(Answer::ok(Reply::Object(object)))
}
