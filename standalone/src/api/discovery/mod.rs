//! What the server says about itself: health, version, metrics, groups, resources, schemas.
//! Not here: objects.

mod aggregated;
mod plain;

use axum::body::Body;
use http::{HeaderMap, Method, Response, header};
use serde_json::{Value, json};

use super::{core::Core, openapi, respond, status_error::StatusError};

/// Answers a GET of anything that is not an object; `None` when the path is none of these.
pub(crate) fn answer(
    core: &Core,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    if *method != Method::GET {
        return None;
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let steps: Vec<&str> = path.trim_matches('/').split('/').collect();
    let document = match steps.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => return Some(health(core)),
        ["metrics"] => return Some(text(&core.metrics.render(), "text/plain; version=0.0.4; charset=utf-8")),
        ["version"] => version(),
        ["openapi", "v2"] => return Some(openapi::v2(core, accept)),
        ["openapi", "v3"] => openapi::index(core),
        ["openapi", "v3", rest @ ..] => {
            return Some(found(openapi::group_version(core, &rest.join("/"))));
        }
        ["api" | "apis"] if aggregated::wanted(accept) => {
            return Some(aggregated::response(core, steps.as_slice() == ["apis"]));
        }
        ["api"] => plain::versions(),
        ["apis"] => plain::groups(core),
        ["apis", group] => return Some(found(plain::group(core, group))),
        ["api", version] => return Some(found(plain::resources(core, "", version))),
        ["apis", group, version] => return Some(found(plain::resources(core, group, version))),
        [""] => json!({"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2",
            "/openapi/v3", "/readyz", "/version"]}),
        _ => return None,
    };
    Some(respond::document(&document))
}

fn found(document: Option<Value>) -> Response<Body> {
    document.map_or_else(
        || respond::refuse(&StatusError::no_such_path()),
        |document| respond::document(&document),
    )
}

fn health(core: &Core) -> Response<Body> {
    match core.store.failure() {
        None => text("ok", "text/plain; charset=utf-8"),
        Some(cause) => respond::refuse(&StatusError::internal(cause)),
    }
}

fn text(text: &str, media: &str) -> Response<Body> {
    respond::response(200, media, Body::from(text.to_owned()), &[])
}

fn version() -> Value {
    json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0+carrel", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("linux/{}", if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" })})
}
