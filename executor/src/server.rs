//! The router, and the connections it is served on.

use std::{future::Future as _, io, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{get, post, put},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use protocol::routes::{CANCEL, EXECUTION, FILE, HEALTHZ, INVENTORY, READYZ, RESET};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    app::App,
    error::ApiError,
    routes::{acknowledge, attach, cancel, execute, files, health, inventory, reset},
};

/// How long a connection may take for a request's headers, and may idle between two requests.
const HEADER_PATIENCE: Duration = Duration::from_mins(1);
/// How long answers under way may take once the executor goes.
const FINISH_PATIENCE: Duration = Duration::from_secs(5);

/// Every route on one screen.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(HEALTHZ, get(health::healthz))
        .route(READYZ, get(health::readyz))
        .route(INVENTORY, get(inventory::get))
        .route(EXECUTION, put(execute::put).get(attach::get).delete(acknowledge::delete))
        .route(CANCEL, post(cancel::post))
        .route(RESET, post(reset::post))
        .route(FILE, get(files::get))
        .fallback(|| async { ApiError::UnknownRoute })
        .method_not_allowed_fallback(|| async { ApiError::UnknownRoute })
        .with_state(app)
}

/// Serves until the future is dropped.
pub(crate) async fn run(listener: TcpListener, app: Arc<App>) -> io::Result<()> {
    let router = router(Arc::clone(&app));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                app.connections.spawn(connection(stream, router.clone(), app.closing.clone()));
            }
            // Out of file descriptors, most likely: connections end by themselves.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Lets answers under way finish.
pub(crate) async fn finish(app: &App) {
    app.closing.cancel();
    app.connections.close();
    if tokio::time::timeout(FINISH_PATIENCE, app.connections.wait()).await.is_err() {
        tracing::warn!("connections were cut off");
    }
}

async fn connection(stream: TcpStream, router: Router, closing: tokio_util::sync::CancellationToken) {
    // Frames are small and awaited.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let mut closing = pin!(closing.cancelled());
    let mut told = false;
    let result = std::future::poll_fn(|context| {
        if !told && closing.as_mut().poll(context).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await;
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}
