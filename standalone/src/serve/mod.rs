//! `carrel serve`: everything Carrel is, in one process.
//!
//! | part | what is in this folder |
//! |---|---|
//! | refusals before anything is started | `checks.rs` (pure) |
//! | the parts and how they are joined | `service.rs` |
//! | live output, from the operator to the shim | `live.rs` |
//! | the example of `--demo` | `demo.rs` |
//!
//! Operator and shim are the same code as in a cluster and do not know where they are.

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeArgs;

mod checks;
mod demo;
mod live;
mod service;

pub use service::Service;

/// Serves until Ctrl-C or SIGTERM.
pub fn main(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let _logs = telemetry::init("carrel")?;
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(serve(args))
}

async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    eprintln!("carrel: starting; data in {}", args.data_dir.display());
    let mut service = tokio::select! {
        started = Service::start(&args) => started?,
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
    };
    announce(&service, &args.data_dir);
    if args.demo {
        demo::run(&service, &args.data_dir).await?;
    }
    let failure = tokio::select! {
        failure = service.failed() => Some(failure),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    eprintln!("carrel: ending");
    let stopped = service.stop().await;
    match failure {
        Some(error) => Err(error),
        None => stopped.map(|()| ExitCode::SUCCESS),
    }
}

fn announce(service: &Service, data_dir: &Path) {
    let endpoints = service.endpoints();
    eprintln!(
        "carrel: NOT ISOLATED: programs run as ordinary processes of this user; run only what you trust\n\
         carrel: HTTP        {}\n\
         carrel: Kubernetes  {}  (kubectl --kubeconfig {})",
        endpoints.http_all.join(", "),
        endpoints.kube,
        crate::endpoints::kubeconfig_file(data_dir).display(),
    );
}
