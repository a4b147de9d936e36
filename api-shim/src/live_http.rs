//! Live output over the operator's internal port: lines of JSON from the leader. What breaks off is begun anew
//! with whoever leads then, and what was read before is skipped. The whole output is in the status in the end,
//! so nobody fails because of this.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream, stream::BoxStream};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

use crate::{
    config::OtherSettings,
    leader::{Leader, LeaderError},
    live::{LiveOutput, NoLiveOutput, OutputChunk, OutputStream},
};

/// The operator's internal port.
const OPERATOR_PORT: u16 = 8701;

/// For the head of an answer; its lines come when the program writes them.
const ANSWER: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(2);
/// A machine that is gone must be noticed although nobody writes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Between two attempts: longer each time, as a takeover lasts some seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Attempts without any line for so long are the last.
const PATIENCE: Duration = Duration::from_secs(30);
/// A chunk has 64 KiB of text, each byte of which may be six of JSON.
const LINE_BYTES: usize = 512 * 1024;

/// Asks the leading operator.
#[derive(Debug, Clone)]
pub struct OperatorLive(Arc<Operator>);

#[derive(Debug)]
struct Operator {
    leader: Leader,
    http: Client<HttpConnector, Empty<Bytes>>,
    token_file: PathBuf,
}

/// Why there are no lines.
#[derive(Debug, thiserror::Error)]
enum LiveError {
    #[error(transparent)]
    Leader(#[from] LeaderError),
    #[error("the token for the operator cannot be read")]
    Token(#[source] std::io::Error),
    #[error("the token for the operator is no text for a header")]
    BadToken(#[from] http::Error),
    #[error("the operator cannot be reached")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("the operator did not answer in time")]
    Timeout,
    #[error("the operator answers {0}")]
    Refused(StatusCode),
    #[error("the operator's answer broke off")]
    Broken(#[from] hyper::Error),
    #[error("the operator's answer is no line of output")]
    NoLine,
}

impl LiveError {
    /// Whether another attempt has the same end.
    fn is_final(&self) -> bool {
        match self {
            Self::Refused(status) => status.is_client_error(),
            Self::Token(_) | Self::BadToken(_) | Self::NoLine => true,
            _ => false,
        }
    }
}

/// As the settings have it: without a token there is no live output.
#[must_use]
pub fn live_output(client: &kube::Client, settings: &OtherSettings) -> Arc<dyn LiveOutput> {
    let Some(token_file) = settings.operator_token_file.clone() else {
        tracing::warn!("CARREL_OPERATOR_TOKEN_FILE is not set: streams bring their output at the end");
        return Arc::new(NoLiveOutput);
    };
    let leader = Leader::new(client.clone(), settings.operator_namespace(), OPERATOR_PORT);
    Arc::new(OperatorLive::new(leader, token_file))
}

impl OperatorLive {
    /// `token_file` holds a token for the operator's audience; it is read for each connection, as it changes.
    #[must_use]
    pub fn new(leader: Leader, token_file: PathBuf) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_keepalive(Some(KEEP_ALIVE));
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Self(Arc::new(Operator { leader, http, token_file }))
    }
}

#[async_trait]
impl LiveOutput for OperatorLive {
    async fn follow(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Option<BoxStream<'static, OutputChunk>> {
        let following = Following {
            operator: Arc::clone(&self.0),
            path: format!("/v1/live/{namespace}/{name}?uid={uid}"),
            read: [0; 2],
            skip: [0; 2],
            lines: None,
            last: Instant::now(),
            pause: FIRST_PAUSE,
        };
        let chunks = stream::unfold(following, |mut following| async {
            following.next().await.map(|chunk| (chunk, following))
        });
        Some(chunks.boxed())
    }
}

impl Operator {
    async fn open(&self, path: &str) -> Result<Lines, LiveError> {
        let address = self.leader.address().await?;
        let token = tokio::fs::read_to_string(&self.token_file).await.map_err(LiveError::Token)?;
        let request = Request::get(format!("http://{address}{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", token.trim()))
            .body(Empty::new())?;
        let answer = tokio::time::timeout(ANSWER, self.http.request(request));
        let answer = answer.await.map_err(|_| LiveError::Timeout)??;
        if answer.status() != StatusCode::OK {
            return Err(LiveError::Refused(answer.status()));
        }
        Ok(Lines { body: answer.into_body(), read: BytesMut::new() })
    }
}

/// One execution's output over all connections that it takes.
struct Following {
    operator: Arc<Operator>,
    path: String,
    /// Bytes of each stream that were handed on.
    read: [usize; 2],
    /// Bytes of each stream that this connection says again.
    skip: [usize; 2],
    lines: Option<Lines>,
    last: Instant,
    pause: Duration,
}

impl Following {
    async fn next(&mut self) -> Option<OutputChunk> {
        loop {
            match self.line().await {
                Ok(Some(line)) => {
                    (self.last, self.pause) = (Instant::now(), FIRST_PAUSE);
                    if let Some(chunk) = self.unread(&line) {
                        return Some(chunk);
                    }
                }
                Ok(None) => return None,
                Err(error) => {
                    self.lines = None;
                    self.operator.leader.forget();
                    if error.is_final() || self.last.elapsed() > PATIENCE {
                        tracing::warn!(error = %telemetry::with_causes(&error), "live output cannot be followed");
                        return None;
                    }
                    tracing::debug!(error = %telemetry::with_causes(&error), "live output broke off and is followed anew");
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn line(&mut self) -> Result<Option<Line>, LiveError> {
        if self.lines.is_none() {
            self.lines = Some(self.operator.open(&self.path).await?);
            self.skip = self.read;
        }
        match &mut self.lines {
            Some(lines) => lines.next().await,
            None => Ok(None),
        }
    }

    /// What of a line was not read over an earlier connection.
    fn unread(&mut self, line: &Line) -> Option<OutputChunk> {
        let index = usize::from(line.stream == OutputStream::Stderr);
        let (skip, read) = (self.skip.get_mut(index)?, self.read.get_mut(index)?);
        let known = line.text.len().min(*skip);
        *skip -= known;
        let text = line.text.get(known..)?.to_owned();
        *read += text.len();
        (!text.is_empty()).then_some(OutputChunk { stream: line.stream, text })
    }
}

#[derive(Debug, Deserialize)]
struct Line {
    #[serde(deserialize_with = "stream_name")]
    stream: OutputStream,
    text: String,
}

fn stream_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<OutputStream, D::Error> {
    #[derive(Deserialize)]
    enum Name {
        Stdout,
        Stderr,
    }
    Ok(match Name::deserialize(deserializer)? {
        Name::Stdout => OutputStream::Stdout,
        Name::Stderr => OutputStream::Stderr,
    })
}

struct Lines {
    body: Incoming,
    read: BytesMut,
}

impl Lines {
    /// The next line; nothing after an orderly end.
    async fn next(&mut self) -> Result<Option<Line>, LiveError> {
        let mut searched = 0;
        loop {
            let end = self.read.get(searched..).and_then(|new| new.iter().position(|byte| *byte == b'\n'));
            if let Some(end) = end {
                let line = self.read.split_to(searched + end + 1);
                return serde_json::from_slice(&line).map(Some).map_err(|_| LiveError::NoLine);
            }
            searched = self.read.len();
            if searched > LINE_BYTES {
                return Err(LiveError::NoLine);
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }
}
