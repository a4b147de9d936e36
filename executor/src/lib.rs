//! The server in the untrusted pod: it starts one program at a time, each at most once, streams what it writes, kills
//! all of it, and keeps the outcome until the operator acknowledges it.
//!
//! It holds no credential (tokens are checked with public keys), knows nothing of Kubernetes and of the
//! object store, and is not a wall by itself: the walls of a run have their place in [`run`].
//!
//! One request, in the order of the files it passes:
//! ```text
//! PUT /v1/executions/{uid}     server.rs → routes/execute.rs
//!   → may it?                  authorize.rs       token, epoch
//!   → is it well formed?       request.rs         pure
//!   → is it the first?         registry.rs        pure; another uid only after reset.rs
//!   → the steps of the run     run/mod.rs         stage, start, watch, kill, collect
//!   → frames to the caller     frames.rs          from the beginning, for everyone who attaches
//! ```

mod app;
mod authorize;
mod beneath;
mod body;
mod clock;
mod config;
mod draining;
mod error;
mod frames;
mod held;
mod lifecycle;
mod paths;
mod probe;
mod registry;
mod remove;
mod request;
mod reset;
mod routes;
pub mod run;
mod runner;
mod selfguard;
mod server;
mod snapshot;
mod termination;
mod walk;
mod workspace;

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::{app::App, config::Config};
pub use crate::{
    config::{Args, ConfigError},
    remove::remove_tree,
    run::kill::kill_orphans,
};

/// Runs an executor until it is told to go; builds its own runtime.
///
/// Must be called on the main thread: programs are told to die with the thread that started them.
///
/// # Errors
/// When the configuration is unusable, the state directory was used before, or the port is taken.
pub fn main(args: Args) -> anyhow::Result<()> {
    start_logging();
    let config = Config::new(args)?;
    selfguard::apply().context("guarding the executor's own process")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config));
    // A blocking task may still be deleting files; nothing waits for it.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    runner::prepare_state(&config.state_dir).context("preparing the state directory")?;
    termination::write(&config.termination_log, None).context("writing the termination message")?;
    if config.lifeline {
        lifecycle::watch_lifeline();
    }
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("listening on {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, pod_uid = %config.pod_uid, "serving");
    let app = Arc::new(App::new(config));
    tokio::spawn(probe::run(Arc::clone(&app)));
    tokio::select! {
        result = server::run(listener, Arc::clone(&app)) => result.context("serving"),
        result = lifecycle::until_drained(&app) => result.context("waiting for SIGTERM"),
    }?;
    server::finish(&app).await;
    Ok(())
}

/// JSON lines on standard error. What programs write never goes there.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CARREL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter);
    // A program that embeds the executor may log already.
    if builder.try_init().is_err() {
        tracing::debug!("logging was set up before");
    }
}
