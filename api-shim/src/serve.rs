//! Accepting connections: the addresses of both ends go with every request, slow senders of headers are
//! cut off, and a shutdown lets what is under way end.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::guard::Connection;

/// A client that has not sent its headers by then is cut off; also the life of an idle connection.
const HEADERS: Duration = Duration::from_secs(30);
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
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(connection);
        router.clone().oneshot(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
