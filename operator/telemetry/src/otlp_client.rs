//! How spans are sent: one request at a time, on the exporter's own thread. No TLS, no retries.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a collector may answer.
const ANSWER_BYTES: usize = 1 << 20;

/// Connects anew for each request: there is one every few seconds at most.
#[derive(Debug)]
pub(crate) struct OtlpClient;

#[async_trait]
impl HttpClient for OtlpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The exporter's thread has no runtime, and blocking it delays nobody else.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { tokio::time::timeout(PATIENCE, send(request)).await? })
    }
}

async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let (parts, body) = client.request(request.map(Full::new)).await?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}
