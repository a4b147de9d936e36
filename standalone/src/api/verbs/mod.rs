//! One file for each verb; this one only chooses.

mod create;
pub(crate) mod delete;
mod get;
mod list;
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

/// The part of an object that a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
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
        Some(_) => return Err(StatusError::no_such_resource()),
    };
    match (method.as_str(), target.name.is_some()) {
        ("GET", true) => get::run(core, request),
        ("GET", false) if request.params.flag("watch") == Some(true) => watch::run(core, request),
        ("GET", false) => list::run(core, request),
        ("POST", false) => create::run(core, request).await,
        ("PUT", true) => replace::run(core, request, part).await,
        ("PATCH", true) => patch::run(core, request, part).await,
        ("DELETE", true) if part == Part::Main => delete::run(core, request).await,
        ("DELETE", false) => delete::collection(core, request).await,
        _ => Err(StatusError::method_not_allowed()),
    }
}
