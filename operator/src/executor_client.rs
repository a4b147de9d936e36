//! Asks executors: one typed function per route, one connection per request, no retries and no redirects.
//!
//! The address comes from a pod of our own cache and from nowhere else. What an error says about whether the
//! request may have arrived is kept, because that decides whether a program may be started elsewhere.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream, stream::BoxStream};
use http_body_util::{BodyExt as _, BodyStream, Empty, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method as Verb, Request, Response, StatusCode,
    body::{Frame as BodyFrame, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use protocol::{ErrorBody, ErrorCode, ExecuteRequest, Frame, Inventory, Method, routes, token};
use serde::de::DeserializeOwned;
use tokio::{net::TcpStream, time::timeout};

use crate::leader::term::{NotLeader, Term};

/// Any error, as a source.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A short answer has at most this many bytes.
const ANSWER_BYTES: usize = 1024 * 1024;
/// A line of the stream has at most this many bytes; the last one carries results and the list of files.
const LINE_BYTES: usize = 96 * 1024 * 1024;
/// After this a pod on the same network is not there.
const CONNECT: Duration = Duration::from_secs(3);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Not one byte was sent: this operator may not ask.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// Not one byte was sent: there was no connection.
    #[error("no connection to the executor")]
    Connect(#[source] io::Error),
    /// The executor said no.
    #[error("the executor refused: {:?}: {}", .0.code, .0.message)]
    Refused(Box<ErrorBody>),
    /// The connection broke; the request may have arrived.
    #[error("the connection to the executor broke")]
    Broken(#[source] BoxError),
    /// The executor answered something else than was agreed.
    #[error("the executor's answer is not understood: {0}")]
    Malformed(String),
}

/// Where a pod is, and who it must believe to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// `status.podIP`.
    pub(crate) ip: IpAddr,
    /// `metadata.uid`.
    pub(crate) pod_uid: Arc<str>,
}

/// Bytes that are sent or received.
pub(crate) type Content = BoxStream<'static, Result<Bytes, BoxError>>;
/// The stream that follows a run.
pub(crate) type Frames = BoxStream<'static, Result<Frame, CallError>>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ExecutorClient {
    term: Term,
    answer: Duration,
}

impl ExecutorClient {
    pub(crate) fn new(term: Term, answer: Duration) -> Self {
        Self { term, answer }
    }

    /// What the executor holds. From then on it refuses earlier leaders.
    pub(crate) async fn inventory(&self, target: &Target) -> Result<Inventory, CallError> {
        let head = self.head(target, Method::Inventory, None, Verb::GET, routes::INVENTORY)?;
        let response = self.short(target, head).await?;
        decode(response).await
    }

    /// Starts an execution, or attaches to it when the executor has it already. `inputs` are its files' bytes in
    /// the order of the request.
    pub(crate) async fn execute(
        &self,
        target: &Target,
        uid: &str,
        request: &ExecuteRequest,
        inputs: Content,
    ) -> Result<Frames, CallError> {
        let mut line = serde_json::to_vec(request).map_err(|e| CallError::Malformed(e.to_string()))?;
        line.push(b'\n');
        let length = request.inputs.iter().fold(line.len() as u64, |sum, file| sum + file.size_bytes);
        let content = stream::iter([Ok(Bytes::from(line))]).chain(inputs).map(|c| c.map(BodyFrame::data));
        let path = routes::execution(uid);
        let head = self
            .head(target, Method::Execute, Some(uid), Verb::PUT, &path)?
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, length);
        // No time limit: the inputs may be large, and a broken connection is noticed anyway.
        let response = send(target, build(head, StreamBody::new(content).boxed_unsync())?).await?;
        Ok(frames(accepted(response).await?))
    }

    /// Attaches to an execution that the executor has.
    pub(crate) async fn attach(&self, target: &Target, uid: &str) -> Result<Frames, CallError> {
        let head = self.head(target, Method::Attach, Some(uid), Verb::GET, &routes::execution(uid))?;
        Ok(frames(self.short(target, head).await?))
    }

    /// The bytes of one changed file.
    pub(crate) async fn file(&self, target: &Target, uid: &str, index: usize) -> Result<Content, CallError> {
        let head = self.head(target, Method::ReadFile, Some(uid), Verb::GET, &routes::file(uid, index))?;
        Ok(content(self.short(target, head).await?))
    }

    /// Ends a run.
    pub(crate) async fn cancel(&self, target: &Target, uid: &str) -> Result<(), CallError> {
        let head = self.head(target, Method::Cancel, Some(uid), Verb::POST, &routes::cancel(uid))?;
        self.short(target, head).await.map(drop)
    }

    /// Lets the executor forget an outcome.
    pub(crate) async fn acknowledge(&self, target: &Target, uid: &str) -> Result<(), CallError> {
        let head =
            self.head(target, Method::Acknowledge, Some(uid), Verb::DELETE, &routes::execution(uid))?;
        self.short(target, head).await.map(drop)
    }

    /// Has the executor prove that nothing is left of an acknowledged run, so that another one may follow it there.
    pub(crate) async fn reset(&self, target: &Target, uid: &str) -> Result<(), CallError> {
        let head = self.head(target, Method::Reset, Some(uid), Verb::POST, &routes::reset(uid))?;
        self.short(target, head).await.map(drop)
    }

    fn head(
        &self,
        target: &Target,
        method: Method,
        uid: Option<&str>,
        verb: Verb,
        path: &str,
    ) -> Result<hyper::http::request::Builder, CallError> {
        let token = self.term.token(method, uid, &target.pod_uid)?;
        Ok(Request::builder()
            .method(verb)
            .uri(path)
            .header(header::HOST, "executor")
            .header(token::HEADER, token))
    }

    /// A request without a body whose answer begins soon.
    async fn short(
        &self,
        target: &Target,
        head: hyper::http::request::Builder,
    ) -> Result<Response<Incoming>, CallError> {
        let request = build(head, Empty::new().map_err(|never| match never {}).boxed_unsync())?;
        match timeout(self.answer, send(target, request)).await {
            Ok(response) => accepted(response?).await,
            Err(elapsed) => Err(CallError::Broken(elapsed.into())),
        }
    }
}

fn build(head: hyper::http::request::Builder, body: Body) -> Result<Request<Body>, CallError> {
    head.body(body).map_err(|e| CallError::Malformed(e.to_string()))
}

async fn send(target: &Target, request: Request<Body>) -> Result<Response<Incoming>, CallError> {
    let connect = TcpStream::connect((target.ip, protocol::EXECUTOR_PORT));
    let socket = match timeout(CONNECT, connect).await {
        Ok(socket) => socket.map_err(CallError::Connect)?,
        Err(elapsed) => return Err(CallError::Connect(io::Error::new(io::ErrorKind::TimedOut, elapsed))),
    };
    socket.set_nodelay(true).map_err(CallError::Connect)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(socket)).await.map_err(|e| CallError::Broken(e.into()))?;
    // It ends with the response's body or the sender, so nobody needs to watch it.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to an executor ended");
        }
    });
    sender.send_request(request).await.map_err(|e| CallError::Broken(e.into()))
}

async fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, CallError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await.map_err(CallError::Broken)?;
    match serde_json::from_slice::<ErrorBody>(&body.to_bytes()) {
        Ok(body) => Err(CallError::Refused(Box::new(body))),
        Err(_) => Err(refused_without_body(status)),
    }
}

/// Not every refusal comes from our own code: a server answers 413 or 404 by itself too.
fn refused_without_body(status: StatusCode) -> CallError {
    match ErrorCode::ALL.into_iter().find(|code| code.status() == status.as_u16()) {
        Some(ErrorCode::TooLarge) => {
            let message = "the request is too large".to_owned();
            CallError::Refused(Box::new(ErrorBody {
                code: ErrorCode::TooLarge,
                message,
                field: None,
                epoch: None,
            }))
        }
        _ => CallError::Malformed(format!("status {status} without an error body")),
    }
}

async fn decode<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, CallError> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await.map_err(CallError::Broken)?;
    serde_json::from_slice(&body.to_bytes()).map_err(|e| CallError::Malformed(e.to_string()))
}

/// The data of a body, pulled as it is read.
fn content(response: Response<Incoming>) -> Content {
    BodyStream::new(response.into_body())
        .filter_map(|frame| async {
            match frame {
                Ok(frame) => frame.into_data().ok().map(Ok),
                Err(error) => Some(Err(BoxError::from(error))),
            }
        })
        .boxed()
}

/// The lines of a body. The stream ends after `Ended`; any other end is an error.
fn frames(response: Response<Incoming>) -> Frames {
    let lines = Lines { content: content(response), pending: BytesMut::new(), scanned: 0, ended: false };
    stream::unfold(lines, |mut lines| async move {
        let frame = lines.next().await?;
        Some((frame, lines))
    })
    .boxed()
}

struct Lines<S> {
    content: S,
    pending: BytesMut,
    scanned: usize,
    ended: bool,
}

impl<S: Stream<Item = Result<Bytes, BoxError>> + Unpin> Lines<S> {
    async fn next(&mut self) -> Option<Result<Frame, CallError>> {
        if self.ended {
            return None;
        }
        let frame = self.frame().await;
        self.ended = matches!(frame, Err(_) | Ok(Frame::Ended { .. }));
        Some(frame)
    }

    async fn frame(&mut self) -> Result<Frame, CallError> {
        loop {
            let fresh = self.pending.get(self.scanned..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let line = self.pending.split_to(self.scanned + at + 1);
                self.scanned = 0;
                return serde_json::from_slice(&line).map_err(|e| CallError::Malformed(e.to_string()));
            }
            self.scanned = self.pending.len();
            if self.scanned > LINE_BYTES {
                return Err(CallError::Malformed("a line is too long".to_owned()));
            }
            match self.content.next().await {
                Some(Ok(chunk)) => self.pending.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(CallError::Broken(error)),
                None => return Err(CallError::Broken("the stream ended before the run did".into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&str]) -> Lines<impl Stream<Item = Result<Bytes, BoxError>> + Unpin + use<>> {
        let chunks: Vec<_> = chunks.iter().map(|c| Ok(Bytes::from((*c).to_owned()))).collect();
        Lines { content: stream::iter(chunks), pending: BytesMut::new(), scanned: 0, ended: false }
    }

    #[tokio::test]
    async fn a_line_may_come_in_pieces_and_several_in_one() {
        let line = r#"{"type":"Output","stream":"Stdout","text":"a"}"#;
        let (start, end) = line.split_at(20);
        let mut lines = lines(&[start, end, "\n", &format!("{line}\n{line}\n")]);
        for _ in 0..3 {
            assert!(matches!(lines.next().await, Some(Ok(Frame::Output { .. }))));
        }
        assert!(matches!(lines.next().await, Some(Err(CallError::Broken(_)))), "no Ended was seen");
        assert!(lines.next().await.is_none());
    }

    #[tokio::test]
    async fn what_is_no_frame_is_an_error_and_not_skipped() {
        let mut lines = lines(&["{}\n"]);
        assert!(matches!(lines.next().await, Some(Err(CallError::Malformed(_)))));
    }
}
