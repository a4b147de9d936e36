//! One file for each verb; this one only chooses.

mod create;
pub(crate) mod delete;
mod get;
mod list;
mod list_options;
mod patch;
mod replace;
pub(crate) mod reviews;
mod scale;
mod watch;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::{
    admission::Part,
    core::Core,
    kinds::Kind,
    params::Params,
    respond::{Answer, Format},
    status_error::{Result, StatusError},
    store::{Object, ObjectName},
    target::Target,
};

/// A request for a resource, with its body read.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) target: Target,
    pub(crate) params: Params,
    pub(crate) format: Format,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

impl Request {
    /// The object that the path names.
    fn object_name(&self) -> ObjectName {
        ObjectName::new(
            self.target.namespace.clone().unwrap_or_default(),
            self.target.name.clone().unwrap_or_default(),
        )
    }
}

/// Stores a change that the server itself makes.
pub(crate) async fn store_change(core: &Core, kind: &Kind, old: &Arc<Object>, next: Value) -> Result<()> {
    write::store(core, kind, old, next).await.map(|_| ()).map_err(|refused| refused.status)
}

/// What the API server calls the verb of a request in its metrics.
pub(crate) fn metric_verb(method: &Method, target: &Target, watching: bool) -> &'static str {
    match (method.as_str(), target.name.is_some()) {
        ("GET", false) if watching => "WATCH",
        ("GET", false) => "LIST",
        ("GET", true) => "GET",
        ("POST", _) => "POST",
        ("PUT", _) => "PUT",
        ("PATCH", _) => "PATCH",
        ("DELETE", true) => "DELETE",
        ("DELETE", false) => "DELETECOLLECTION",
        _ => "other",
    }
}

/// Does what the request asks.
pub(crate) async fn run(core: &Arc<Core>, method: &Method, request: &Request) -> Result<Answer> {
    let target = &request.target;
    if target.kind.read_only && method != Method::GET {
        return Err(StatusError::method_not_allowed());
    }
    let part = match target.subresource.as_deref() {
        None => Part::Main,
        Some("status") if target.kind.has_status => Part::Status,
        Some("finalize") if target.kind.plural == "namespaces" => Part::Main,
        Some("scale") if target.kind.scale().is_some() => return scale::run(core, method, request).await,
        Some(_) => return Err(no_such_part(target)),
    };
    let custom = target.kind.custom().is_some();
    let nowhere = target.kind.namespaced && target.namespace.is_none() && target.name.is_none();
    if nowhere && custom && method != Method::GET {
        return Err(StatusError::no_such_path());
    }
    let method = if custom && method == Method::HEAD { &Method::GET } else { method };
    match (method.as_str(), target.name.is_some()) {
        ("GET", true) => get::run(core, request),
        ("GET", false) if request.params.flag("watch") == Some(true) => watch::run(core, request),
        ("GET", false) => list::run(core, request),
        // A name in the path of a custom kind is not looked at.
        ("POST", named) if part == Part::Main && (custom || !named) => create::run(core, request).await,
        ("PUT", true) => replace::run(core, request, part).await,
        ("PATCH", true) => patch::run(core, request, part).await,
        ("DELETE", true) if part == Part::Main => delete::run(core, request).await,
        ("DELETE", false) => delete::collection(core, request).await,
        ("PUT" | "PATCH", false) if custom => Err(StatusError::bad_request("name must be provided")),
        _ => Err(StatusError::method_not_supported(&target.kind, api_verb(method, target))),
    }
}

/// For a subresource that the kind has not.
fn no_such_part(target: &Target) -> StatusError {
    match target.kind.custom() {
        Some(_) => StatusError::not_found(&target.kind, target.name.as_deref().unwrap_or_default()),
        None => StatusError::no_such_resource(),
    }
}

/// The verb of a request, as access rules name it.
fn api_verb(method: &Method, target: &Target) -> &'static str {
    match (method.as_str(), target.name.is_some()) {
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "",
    }
}
