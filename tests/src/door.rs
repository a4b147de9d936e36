//! HTTP of an installation: through its Service, or to one of its pods.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use crate::{Process, front::http_builder};

/// One way in. Each request has a connection of its own, as a Service spreads connections, unless it is told otherwise.
#[derive(Debug, Clone)]
pub struct Door {
    client: reqwest::Client,
    name: String,
    address: SocketAddr,
    token: Option<String>,
    /// What forwards the port, when something does.
    _forward: Option<Arc<Process>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// The body, as text when it is not JSON.
    pub body: Value,
}

impl Door {
    /// Asks for `name`, and connects to that address.
    pub(crate) fn new(name: &str, address: SocketAddr) -> Self {
        let client = client(name, address, 0);
        Self { client, name: name.to_owned(), address, token: None, _forward: None }
    }

    /// Through a port of this machine, for as long as that process runs.
    pub(crate) fn forwarded((port, process): (u16, Process)) -> Self {
        let door = Self::new("localhost", ([127, 0, 0, 1], port).into());
        Self { _forward: Some(Arc::new(process)), ..door }
    }

    /// The same with one connection for request after request.
    #[must_use]
    pub fn keeping_its_connection(&self) -> Self {
        Self { client: client(&self.name, self.address, 1), ..self.clone() }
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same without one.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Where it leads.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.name, self.address.port())
    }

    /// Sends JSON by POST; fails when there is no whole answer.
    ///
    /// # Errors
    /// When the connection cannot be made or breaks.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.post(self.url(path)).body(body.to_string());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.map(str::to_owned);
        let text = answer.text().await?;
        Ok(Answer { status, retry_after, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    /// `POST /v1/execute`, whatever comes of it.
    pub async fn try_execute(&self, body: &Value) -> Answer {
        self.post("/v1/execute", body).await.expect("an answer")
    }

    /// `POST /v1/execute`, which must answer 200.
    pub async fn execute(&self, body: &Value) -> Value {
        let answer = self.try_execute(body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }
}

/// A client that keeps so many connections between requests.
fn client(name: &str, address: SocketAddr, kept: usize) -> reqwest::Client {
    http_builder()
        .pool_max_idle_per_host(kept)
        .resolve(name, address)
        .timeout(Duration::from_mins(3))
        .build()
        .expect("an HTTP client")
}

/// Whether something listens there.
#[must_use]
pub fn is_reachable(address: SocketAddr) -> bool {
    std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
}

/// An address of text.
pub(crate) fn address(host: &str, port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port))
}
