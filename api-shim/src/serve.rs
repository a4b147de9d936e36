//! Accepting connections: the addresses of both ends go with every request, clients that are slow to send
//! headers or to read are cut off, and a shutdown lets what is under way end. HTTP/1.1, and HTTP/2 for clients
//! that begin with it; bodies have their own deadlines in `body.rs`.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{activity::Activity, connection::Patient, guard::Connection};

/// A client that has not sent its headers by then is cut off; also the life of an idle connection.
const HEADERS: Duration = Duration::from_secs(30);
/// A client that takes nothing of an answer for so long is cut off. Streams send something every 15 seconds.
const UNREAD: Duration = Duration::from_mins(1);
/// What the headers of one HTTP/1.1 request may take, and with them each waiting connection.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;
/// The same for one HTTP/2 request.
const HTTP2_HEADER_BYTES: u32 = 16 * 1024;
/// Requests of one HTTP/2 connection at a time.
const HTTP2_STREAMS: u32 = 64;
/// What is kept of an answer that an HTTP/2 client does not take.
const HTTP2_UNSENT_BYTES: usize = 64 * 1024;
/// How often an HTTP/2 client is asked whether it is there, and how long it may take to say so.
const HTTP2_PING: Duration = Duration::from_secs(20);
/// An HTTP/2 connection that is told to end has so long for it.
const HTTP2_GOODBYE: Duration = Duration::from_secs(5);
/// Connections of one listener at a time.
const MAX_CONNECTIONS: usize = 4096;
/// A pause after a failed accept, which is mostly a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until shutdown. The connections are in `open`, and end after their current request.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    open: TaskTracker,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, connection, place)) => {
                let (router, shutdown) = (router.clone(), shutdown.clone());
                open.spawn(async move {
                    serve_connection(stream, connection, router, shutdown).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

type Accepted = (TcpStream, Connection, Option<tokio::sync::OwnedSemaphorePermit>);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.ok();
    let (stream, peer) = listener.accept().await?;
    let connection = Connection { peer, local: stream.local_addr()? };
    stream.set_nodelay(true)?;
    Ok((stream, connection, place))
}

async fn serve_connection(
    stream: TcpStream,
    connection: Connection,
    router: Router,
    shutdown: CancellationToken,
) {
    let mut stream = Patient::new(stream, UNREAD);
    let version = tokio::select! {
        () = shutdown.cancelled() => return,
        version = tokio::time::timeout(HEADERS, stream.is_http2()) => version,
    };
    let ended = match version {
        Ok(Ok(false)) => serve_http1(stream, connection, router, shutdown).await,
        Ok(Ok(true)) => serve_http2(stream, connection, router, shutdown).await,
        // It went away or said nothing.
        Ok(Err(_)) | Err(_) => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn serve_http1(
    stream: Patient<TcpStream>,
    connection: Connection,
    router: Router,
    shutdown: CancellationToken,
) -> hyper::Result<()> {
    let service = service_fn(move |request| answer(router.clone(), request, connection));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HTTP1_BUFFER_BYTES);
    let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = served.as_mut() => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    }
}

async fn serve_http2(
    stream: Patient<TcpStream>,
    connection: Connection,
    router: Router,
    shutdown: CancellationToken,
) -> hyper::Result<()> {
    let activity = Activity::new(Instant::now());
    let watched = activity.clone();
    let service =
        service_fn(move |request| watched_answer(router.clone(), request, connection, activity.clone()));
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEADER_BYTES)
        .max_send_buf_size(HTTP2_UNSENT_BYTES);
    let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = served.as_mut() => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
        () = still(&watched) => {
            served.as_mut().graceful_shutdown();
            // What it has not taken until now it will not take.
            tokio::time::timeout(HTTP2_GOODBYE, served).await.unwrap_or(Ok(()))
        }
    }
}

/// An answer that tells how it goes on.
async fn watched_answer(
    router: Router,
    request: Request<Incoming>,
    connection: Connection,
    activity: Activity,
) -> Result<Response<Body>, Infallible> {
    let asked = activity.request();
    let response = answer(router, request, connection).await?;
    let sending = activity.answer();
    drop(asked);
    Ok(response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            sending.went_on();
            frame
        }))
    }))
}

/// Resolves when nothing goes on any more.
async fn still(activity: &Activity) {
    let mut beats = tokio::time::interval(HTTP2_GOODBYE);
    while !activity.is_still(Instant::now(), HEADERS, UNREAD) {
        beats.tick().await;
    }
}

async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    connection: Connection,
) -> Result<Response<Body>, Infallible> {
    request.extensions_mut().insert(connection);
    router.oneshot(request.map(Body::new)).await
}
