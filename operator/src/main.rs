//! The operator's binary for a real cluster: flags, logs, client, then run until told to stop.

use anyhow::Context as _;
use blobs::{Blobs, BlobsConfig};
use clap::Parser as _;
use operator::{Operator, args::Args};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let _logs = telemetry::init("carrel-operator")?;
    let client = kube::Client::try_default().await.context("no cluster is configured")?;
    let blobs =
        Blobs::open(BlobsConfig::local(&args.blobs_dir)).await.context("the store cannot be opened")?;
    let internal = listen(args.internal_listen).await?;
    let admin = listen(args.admin_listen).await?;
    let shutdown = stop_on_signal()?;
    let operator = Operator::new(args.config(), client, blobs);
    let admin = axum::serve(admin, operator.admin().router());
    tokio::select! {
        ended = operator.run(Some(internal), shutdown) => Ok(ended?),
        ended = admin => ended.context("the admin port failed"),
    }
}

async fn listen(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Cancelled by SIGTERM and by Ctrl-C. Then the Lease is given back, so that the next operator need not wait.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
        stop.cancel();
    });
    Ok(shutdown)
}
