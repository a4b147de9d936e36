//! One route, one file: extract, call, respond.

pub mod docs;
pub mod execute;
pub mod execute_stream;
pub mod fallback;
pub mod health;
pub mod metrics;
pub mod root;

/// What the dialect of a path calls the sentence of an error.
#[must_use]
pub fn error_key(path: &str) -> &'static str {
    if path == "/runcode" || path.starts_with("/image/") { "error" } else { "detail" }
}
