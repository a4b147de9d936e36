//! From an HTTP request to an answer: which requests are for resources, their bodies, their counting; and the
//! HTTPS listener, which lets nobody in without the token.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request as HttpRequest, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    core::Core,
    discovery, metrics,
    params::Params,
    respond::{self, Format},
    status_error::{Result, StatusError},
    target::{self, Target},
    verbs::{self, Request},
};

/// The API server's limit for request bodies.
const MAX_BODY: usize = 3 * 1024 * 1024;
/// How long a client may take over a handshake, its headers or its body.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many connections are open at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// What may be asked without a token.
const OPEN_PATHS: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// Answers one request that was already let in.
pub(crate) async fn handle<B>(core: Arc<Core>, request: HttpRequest<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if let Some(answer) = discovery::answer(&core, &parts.method, path, &parts.headers) {
        return answer;
    }
    let Some(target) = Target::parse(&core.registry, path) else {
        return unrouted(&core, &parts, body).await;
    };
    let watching = parts
        .uri
        .query()
        .is_some_and(|query| query.split('&').any(|one| matches!(one, "watch=1" | "watch=true")));
    let verb = verbs::metric_verb(&parts.method, &target, watching);
    let (group, plural) = (target.kind.group.clone(), target.kind.plural.clone());
    let subresource = metrics::subresource(target.subresource.as_deref());
    let answer = match resource(&core, &parts, target, body).await {
        Ok(response) => response,
        Err(error) => respond::refuse_as(text(&parts.headers, header::ACCEPT), &error),
    };
    core.metrics.count(verb, &group, &plural, subresource, answer.status().as_u16());
    answer
}

async fn resource<B>(
    core: &Arc<Core>,
    parts: &http::request::Parts,
    target: Target,
    body: B,
) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    core.usable()?;
    let params = Params::parse(&parts.uri)?;
    let format = Format::negotiate(text(&parts.headers, header::ACCEPT), &params)?;
    let body = read(body).await?;
    let content_type = text(&parts.headers, header::CONTENT_TYPE).to_owned();
    let kind = Arc::clone(&target.kind);
    let request = Request { target, params, format, content_type, body };
    let answer = verbs::run(core, &parts.method, &request).await?;
    Ok(respond::render(core, &kind, format, answer))
}

/// Reviews, and everything that is not there.
async fn unrouted<B>(core: &Core, parts: &http::request::Parts, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let answer = async {
        if parts.method == Method::POST {
            let body = read(body).await?;
            let content_type = text(&parts.headers, header::CONTENT_TYPE);
            if let Some(answer) = verbs::reviews::run(core, parts.uri.path(), &body, content_type) {
                return answer;
            }
        }
        Err(target::missing(&core.registry, parts.uri.path()))
    };
    match answer.await {
        Ok(answer) => match answer.reply {
            respond::Reply::Plain(value) => {
                respond::response(answer.code, "application/json", Body::from(value.to_string()), &[])
            }
            _ => respond::refuse(&StatusError::internal("a review has an unexpected answer")),
        },
        Err(error) => respond::refuse(&error),
    }
}

async fn read<B>(body: B) -> Result<Bytes>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Ok(collected) = timeout(PATIENCE, Limited::new(body, MAX_BODY).collect()).await else {
        return Err(StatusError::new(408, "Timeout", "the request body did not arrive in time"));
    };
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusError::body_too_large(MAX_BODY)),
        Err(error) => Err(StatusError::bad_request(format!("the request body could not be read: {error}"))),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Serves HTTPS until told to stop; open connections are then closed.
pub(crate) async fn serve(
    core: Arc<Core>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    stop: CancellationToken,
) {
    let tracker = TaskTracker::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            () = core.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(Arc::clone(&core), stream, acceptor.clone());
                let stop = stop.clone();
                tracker.spawn(async move {
                    let _place = place;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = connection => {}
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely; others may be freed meanwhile.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
    tracker.close();
    tracker.wait().await;
}

async fn connection(core: Arc<Core>, stream: TcpStream, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let stream = match timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(move |request: HttpRequest<hyper::body::Incoming>| {
        let core = Arc::clone(&core);
        async move {
            let answer = if admitted(&core, request.uri().path(), request.headers()) {
                handle(core, request).await
            } else {
                respond::refuse(&StatusError::unauthorized())
            };
            Ok::<_, Infallible>(answer)
        }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(error) = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn admitted(core: &Core, path: &str, headers: &HeaderMap) -> bool {
    let own = text(headers, header::AUTHORIZATION);
    if own.is_empty() {
        return OPEN_PATHS.contains(&path);
    }
    own.split_once(' ').is_some_and(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer") && core.credentials.accepts(token.trim())
    })
}
