//! `/openapi.json` and pages made of it for people. The pages are whole in themselves: no script, nothing
//! is loaded from anywhere.

use std::fmt::Write;

use axum::{
    Json,
    response::{Html, IntoResponse, Redirect, Response},
};
use http::header;
use serde_json::{Map, Value};

use crate::openapi::document;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
pre{background:#f4f4f4;padding:1rem;overflow:auto}summary{cursor:pointer;font-weight:bold}details{margin:.5rem 0}\
code{font-family:monospace}@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}pre{background:#242424}}";

/// `GET /openapi.json`.
pub async fn openapi() -> Response {
    Json(document()).into_response()
}

/// `GET /docs` and `GET /redoc`.
pub async fn page() -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    (
        [(header::CONTENT_SECURITY_POLICY, policy)],
        Html(render(&serde_json::to_value(document()).unwrap_or_default())),
    )
        .into_response()
}

/// `GET /doc/`.
pub async fn redirect() -> Redirect {
    Redirect::temporary("/docs")
}

fn render(document: &Value) -> String {
    let mut page =
        String::from("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Carrel</title>");
    let title = document.pointer("/info/description").and_then(Value::as_str).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(page, "<style>{STYLE}</style></head><body><h1>Carrel</h1><p>{}</p>", escape(title));
    page.push_str("<p>The whole document: <a href=\"/openapi.json\">/openapi.json</a></p><h2>Routes</h2>");
    for (path, item) in members(document, "/paths") {
        for (method, operation) in item.as_object().into_iter().flatten() {
            route(&mut page, path, method, operation);
        }
    }
    page.push_str("<h2>Bodies</h2>");
    for (name, schema) in members(document, "/components/schemas") {
        section(&mut page, name, schema.get("description"), schema);
    }
    page.push_str("</body></html>");
    page
}

fn route(page: &mut String, path: &str, method: &str, operation: &Value) {
    let title = format!("{} {path}", method.to_ascii_uppercase());
    section(page, &title, operation.get("summary"), operation);
}

fn section(page: &mut String, title: &str, text: Option<&Value>, detail: &Value) {
    let text = text.and_then(Value::as_str).unwrap_or_default();
    let detail = serde_json::to_string_pretty(detail).unwrap_or_default();
    let _ = write!(
        page,
        "<details><summary><code>{}</code> {}</summary><pre>{}</pre></details>",
        escape(title),
        escape(text),
        escape(&detail)
    );
}

fn members<'a>(document: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    document.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_route_and_loads_nothing() {
        let page = render(&serde_json::to_value(document()).expect("JSON"));
        for path in ["POST /v1/execute", "POST /v1/execute/stream", "GET /health"] {
            assert!(page.contains(path), "{path}");
        }
        for loading in ["<script", "<link", "<img", "src=", "@import", "url(", "href=\"http"] {
            assert!(!page.contains(loading), "{loading}");
        }
    }
}
