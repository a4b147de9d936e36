//! The OpenAPI document. It is committed as `api-shim/openapi.json`; a test fails when the two differ.

use utoipa::OpenApi;

use crate::routes;

/// The document's definition.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "Carrel", description = "Runs untrusted code in sandboxes.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    paths(
        routes::execute::execute,
        routes::execute_stream::execute_stream,
        routes::health::health,
        routes::health::ready,
        routes::metrics::metrics,
        routes::root::root,
    ),
    tags((name = "execute", description = "Run code"), (name = "service", description = "The service itself"))
)]
struct Document;

/// The document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let made = super::document().to_pretty_json().expect("JSON") + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &made).expect("the document can be written");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == made,
            "openapi.json is out of date: run this test with UPDATE_OPENAPI=1 and review the change"
        );
    }
}
