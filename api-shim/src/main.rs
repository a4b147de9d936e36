//! The HTTP front's binary for a real cluster: settings, logs, client, then serve until told to stop.

use std::time::Duration;

use anyhow::Context as _;
use api_shim::{
    App,
    config::{self, Flags, Loaded, Place},
    live_http,
};
use blobs::{Blobs, BlobsConfig};
use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// Serves the wire dialects in front of the cluster of the environment.
#[derive(Debug, Parser)]
#[command(name = "carrel-api-shim", version)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let environment = |name: &str| std::env::var(name).ok();
    let Loaded { shim: mut config, other, warnings, .. } = config::load(&args.flags, &environment)?;
    let _logs = telemetry::init_with("api-shim", other.logs()?)?;
    for warning in warnings.into_iter().chain(config::warnings(&args.flags, &environment, Place::Cluster)) {
        tracing::warn!("{warning}");
    }
    let client = kube::Client::try_default().await.context("no cluster is configured")?;
    // Only where no tenants are named.
    config.namespace = other.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    // Until everybody has seen that it is not ready.
    config.linger = Duration::from_secs(4);
    let live = live_http::live_output(&client, &other);
    let blobs = Blobs::open(BlobsConfig::local(other.storage_path())).await.context("the store")?;
    let mut listeners = Vec::new();
    for address in config.http_listen() {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.with_context(|| format!("cannot listen on {address}"))?);
    }
    let (shutdown, mut terminate) = (CancellationToken::new(), signal(SignalKind::terminate())?);
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
        stop.cancel();
    });
    App::new(config, client, blobs, live).run(listeners, shutdown).await.context("serving")
}
