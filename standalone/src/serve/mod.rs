//! `carrel serve`: everything Carrel is, in one process.
//!
//! | part | what is in this folder |
//! |---|---|
//! | settings of the HTTP front | `settings.rs` (pure) |
//! | refusals before anything is started | `checks.rs` (pure) |
//! | the parts and how they are joined | `service.rs` |
//! | live output, from the operator to the shim | `live.rs` |
//! | the example of `--demo` | `demo.rs` |
//!
//! Operator and shim are the same code as in a cluster and do not know where they are.

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{ServeArgs, WRONG_USAGE};
use settings::Settings;

mod checks;
mod demo;
mod live;
mod service;
mod settings;

pub use service::Service;
pub(crate) use settings::read as read_settings;

/// Serves until Ctrl-C or SIGTERM.
pub fn main(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let settings = match read_settings(&args, &variable) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("carrel: {error}\nEvery setting: carrel serve --help");
            return Ok(ExitCode::from(WRONG_USAGE));
        }
    };
    let _logs = telemetry::init_with("carrel", settings.logs)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(serve(args, settings))
}

async fn serve(args: ServeArgs, mut settings: Settings) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let demo = args.demo.then(|| demo::Demo::new(&mut settings.front.tokens));
    eprintln!("carrel: starting; data in {}", args.data_dir.display());
    let mut service = tokio::select! {
        started = Service::start(&args, settings) => started?,
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
    };
    announce(&service, &args.data_dir);
    let endpoints = service.endpoints().clone();
    let run = async {
        if let Some(demo) = demo {
            demo.run(&endpoints, &args.data_dir).await;
        }
        std::future::pending::<()>().await;
    };
    let failure = tokio::select! {
        failure = service.failed() => Some(failure),
        () = run => None,
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
