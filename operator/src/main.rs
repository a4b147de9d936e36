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
    let _logs = telemetry::init("operator")?;
    let client = kube::Client::try_default().await.context("no cluster is configured")?;
    let blobs =
        Blobs::open(BlobsConfig::local(&args.blobs_dir)).await.context("the store cannot be opened")?;
    let shutdown = CancellationToken::new();
    let (mut terminate, stop) = (signal(SignalKind::terminate())?, shutdown.clone());
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        stop.cancel();
    });
    let address = args.internal_listen;
    let internal = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    Operator::new(args.config(), client, blobs).run(Some(internal), shutdown).await?;
    Ok(())
}
