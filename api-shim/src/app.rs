//! The service put together: made from a configuration and handles, served on listeners.

use std::{sync::Arc, time::Duration};

use axum::Router;
use blobs::Blobs;
use kube::{Api, Client};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admission::Admission,
    body::Bodies,
    cancels::Cancels,
    config::{ShimConfig, VERSION},
    executions::Executions,
    health::Health,
    inputs::Inputs,
    live::LiveOutput,
    metrics::Metrics,
    outputs::Outputs,
    rooms::{Rooms, watch_pools},
    router::router,
    runs::Runs,
    serve::serve,
    stage::Stage,
    state::{AppState, Shared},
    waiters::{Waiters, watch_executions},
};

/// Requests and runs under way have so long to end after a shutdown.
const DRAIN: Duration = Duration::from_secs(25);

/// The HTTP front.
#[derive(Clone)]
pub struct App {
    state: Shared,
    client: Client,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("config", &self.state.config).finish_non_exhaustive()
    }
}

impl App {
    /// Puts it together; nothing runs yet.
    #[must_use]
    pub fn new(config: ShimConfig, client: Client, blobs: Blobs, live: Arc<dyn LiveOutput>) -> Self {
        let mut registry = telemetry::new_registry("api-shim", VERSION);
        let metrics = Metrics::register(&mut registry);
        let files = Api::namespaced(client.clone(), &config.namespace);
        let executions = Api::namespaced(client.clone(), &config.namespace);
        let pools = Api::namespaced(client.clone(), &config.namespace);
        let waiters = Arc::new(Waiters::default());
        let retry_after = config.capacity_retry_after_seconds;
        let executions = Executions::new(executions, config.replica.clone(), retry_after);
        let tasks = TaskTracker::new();
        let runs = Runs {
            cancels: Cancels::new(executions.clone(), tasks.clone()),
            executions,
            rooms: Arc::new(Rooms::default()),
            waiters: Arc::clone(&waiters),
            stage: Stage { files: files.clone(), blobs: blobs.clone() },
            outputs: Outputs { blobs },
            metrics: metrics.clone(),
            tasks,
            capacity_retry_after_seconds: retry_after,
        };
        let state = AppState {
            bodies: Bodies::new(config.body, metrics.clone(), config.admission.retry_after_seconds),
            admission: Admission::new(config.admission, metrics.clone()),
            runs: Arc::new(runs),
            inputs: Inputs { files },
            live,
            health: Arc::new(Health::new(pools, config.spec.pool.clone(), config.health.clone())),
            waiters,
            registry,
            metrics,
            config,
        };
        Self { state: Arc::new(state), client }
    }

    /// The routes. A request needs a [`crate::guard::Connection`] among its extensions to be seen as local.
    pub fn router(&self) -> Router {
        router(Arc::clone(&self.state))
    }

    /// What must run beside the routes until shutdown: the watches of our executions and of the
    /// pools, and the health check.
    pub async fn run_background(&self, shutdown: CancellationToken) {
        let executions = Api::namespaced(self.client.clone(), &self.state.config.namespace);
        let replica = self.state.config.replica.clone();
        let watch = watch_executions(executions, replica, Arc::clone(&self.state.waiters), shutdown.clone());
        let pools = Api::namespaced(self.client.clone(), &self.state.config.namespace);
        let rooms = watch_pools(pools, Arc::clone(&self.state.runs.rooms), shutdown.clone());
        let health = Arc::clone(&self.state.health).refresh(shutdown);
        tokio::join!(watch, rooms, health);
    }

    /// Serves on the listeners until shutdown. Then it says that it is not ready, takes no further requests after
    /// a moment, and lets what is under way end for a while.
    pub async fn run(self, listeners: Vec<TcpListener>, shutdown: CancellationToken) -> std::io::Result<()> {
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
        for warning in self.state.config.guard.warnings(&addresses) {
            tracing::warn!("{warning}");
        }
        let background = CancellationToken::new();
        let _stop_background = background.clone().drop_guard();
        let beside = {
            let app = self.clone();
            tokio::spawn(async move { app.run_background(background).await })
        };
        let (open, closing) = (TaskTracker::new(), CancellationToken::new());
        let accepting = listeners
            .into_iter()
            .map(|listener| serve(listener, self.router(), open.clone(), closing.clone()));
        let accepting = async {
            tokio::join!(futures::future::join_all(accepting), self.close(shutdown, closing.clone()));
        };
        tokio::select! {
            () = accepting => {}
            ended = beside => return Err(std::io::Error::other(format!("the watch of executions ended: {ended:?}"))),
        }
        self.drain(&open).await;
        Ok(())
    }

    async fn close(&self, shutdown: CancellationToken, closing: CancellationToken) {
        shutdown.cancelled().await;
        self.state.health.drain();
        tokio::time::sleep(self.state.config.linger).await;
        closing.cancel();
    }

    /// The watch goes on meanwhile: those who wait still need it.
    async fn drain(&self, open: &TaskTracker) {
        open.close();
        self.state.runs.tasks.close();
        let ended = async {
            open.wait().await;
            self.state.runs.tasks.wait().await;
        };
        if tokio::time::timeout(DRAIN, ended).await.is_err() {
            tracing::warn!("requests were still under way when the time for them ran out");
        }
    }
}
