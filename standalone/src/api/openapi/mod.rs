//! OpenAPI documents made from the definitions: enough for `kubectl explain`, and for clients that look whether
//! field validation happens on the server.

mod document;

use axum::body::Body;
use http::Response;
use serde_json::{Map, Value, json};

use super::{core::Core, respond};

/// `/openapi/v2`. Protobuf is not offered; kubectl is content with its v3 counterpart.
pub(super) fn v2(core: &Core, accept: &str) -> Response<Body> {
    if !accept.is_empty() && !accept.contains("json") && !accept.contains("*/*") {
        let text = "only application/json is offered here";
        return respond::response(406, "text/plain", Body::from(text), &[]);
    }
    let mut paths = Map::new();
    let mut definitions = Map::new();
    for kind in core.registry.all() {
        paths.extend(document::paths(kind));
        definitions.insert(document::schema_name(kind), document::schema(kind));
    }
    respond::document(&json!({"swagger": "2.0", "info": {"title": "Carrel", "version": "v1.33.0+carrel"},
        "paths": paths, "definitions": definitions}))
}

/// `/openapi/v3`.
pub(super) fn index(core: &Core) -> Value {
    let paths: Map<String, Value> = core
        .registry
        .group_versions()
        .iter()
        .map(|(group, version)| {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let url = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
            (path, url)
        })
        .collect();
    json!({"paths": paths})
}

/// `/openapi/v3/api/v1` and `/openapi/v3/apis/GROUP/VERSION`.
pub(super) fn group_version(core: &Core, path: &str) -> Option<Value> {
    let all = core.registry.group_versions();
    let (group, version) = all.iter().find(|(group, version)| {
        path == if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
    })?;
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in core.registry.all().filter(|kind| kind.group == *group && kind.version == *version) {
        paths.extend(document::paths(kind));
        schemas.insert(document::schema_name(kind), document::schema(kind));
    }
    Some(json!({"openapi": "3.0.0", "info": {"title": "Carrel", "version": "v1.33.0+carrel"},
        "paths": paths, "components": {"schemas": schemas}}))
}
