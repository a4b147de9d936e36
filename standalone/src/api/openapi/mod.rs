//! OpenAPI documents made from the definitions and the built-in types: enough for `kubectl explain`, and for clients
//! that look whether field validation happens on the server.

mod document;
mod types;

use axum::body::Body;
use http::Response;
use serde_json::{Map, Value, json};

use super::{core::Core, respond};

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The document `swagger: "2.0"` in protobuf.
const BARE: [u8; 5] = *b"\n\x032.0";

/// `/openapi/v2`. In protobuf it is bare: kubectl asks for it only after the v3 counterpart knew no such kind.
pub(super) fn v2(core: &Core, accept: &str) -> Response<Body> {
    if !accept.is_empty() && !accept.contains("json") && !accept.contains("*/*") {
        return respond::response(200, PROTOBUF, Body::from(BARE.to_vec()), &[]);
    }
    let mut paths = Map::new();
    let mut definitions = Map::new();
    for kind in core.registry.all() {
        paths.extend(document::paths(kind));
        definitions.insert(document::schema_name(kind), document::schema(kind));
    }
    types::add_referred(&mut definitions);
    let document = json!({"swagger": "2.0", "info": {"title": "Carrel", "version": "v1.33.0+carrel"},
        "paths": paths, "definitions": definitions});
    let text = document.to_string().replace("#/components/schemas/", "#/definitions/");
    respond::response(200, "application/json", Body::from(text), &[])
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
    types::add_referred(&mut schemas);
    Some(json!({"openapi": "3.0.0", "info": {"title": "Carrel", "version": "v1.33.0+carrel"},
        "paths": paths, "components": {"schemas": schemas}}))
}
