//! The kubeconfig that lets kubectl and client libraries in.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

/// Renders a kubeconfig for `server` (an https URL). JSON is YAML, and needs no quoting rules of its own.
pub(crate) fn render(server: &str, ca: &str, token: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "carrel", "cluster": {
            "server": server, "certificate-authority-data": STANDARD.encode(ca)}}],
        "users": [{"name": "carrel", "user": {"token": token}}],
        "contexts": [{"name": "carrel", "context": {
            "cluster": "carrel", "user": "carrel", "namespace": "default"}}],
        "current-context": "carrel",
    });
    serde_yaml::to_string(&config).unwrap_or_else(|_| config.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_reads_what_is_rendered() {
        let text = render("https://127.0.0.1:6443", "CA", "secret");
        let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(config.current_context.as_deref(), Some("carrel"));
        assert_eq!(
            config.clusters[0].cluster.as_ref().unwrap().server.as_deref(),
            Some("https://127.0.0.1:6443")
        );
    }
}
