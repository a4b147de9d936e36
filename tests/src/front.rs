//! How people reach a running Carrel, wherever it runs: HTTP, kubectl, and the folder of its store.

use std::path::{Path, PathBuf};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

use crate::Kubectl;

/// The doors of one Carrel.
#[derive(Debug, Clone)]
pub struct Front {
    /// The URL of its HTTP address.
    pub http: String,
    /// A kubeconfig whose default namespace is the one to run in.
    pub kubeconfig: PathBuf,
    /// Where its bytes are.
    pub blobs: PathBuf,
}

impl Front {
    /// A URL of its HTTP address.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.http)
    }

    /// Sends JSON text by POST and gives status and body.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let answer = http().post(self.url(path)).body(body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// `POST /v1/execute`, which must answer 200.
    pub async fn execute(&self, body: &Value) -> Value {
        let (status, answer) = self.post("/v1/execute", body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// kubectl with its kubeconfig.
    #[must_use]
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.kubeconfig.clone())
    }

    /// A client of its Kubernetes API.
    pub async fn client(&self) -> Client {
        client(&self.kubeconfig).await
    }

    /// The whole of an output stream of a status: what is inline, or what is stored.
    #[must_use]
    pub fn output(&self, stream: &Value) -> String {
        match stream["storedAs"].as_str() {
            Some(hash) => std::fs::read_to_string(self.blobs.join(hash)).expect("a stored text"),
            None => stream["text"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// A client of the Kubernetes API of a kubeconfig.
pub(crate) async fn client(kubeconfig: &Path) -> Client {
    install_tls();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a usable kubeconfig");
    Client::try_from(config).expect("a client")
}

/// An HTTP client.
#[must_use]
pub fn http() -> reqwest::Client {
    http_builder().build().expect("an HTTP client")
}

/// An HTTP client to be. What it asks for is near, whatever the environment says about proxies.
pub(crate) fn http_builder() -> reqwest::ClientBuilder {
    install_tls();
    reqwest::Client::builder().no_proxy()
}

/// The first user of TLS decides whose it is.
fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
