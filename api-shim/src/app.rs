//! The service put together: made from a configuration and handles, served on listeners.

use std::sync::Arc;

use axum::Router;
use blobs::Blobs;
use kube::Client;
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admission::Admission,
    body::Bodies,
    config::{ShimConfig, TokenReviewRules, VERSION},
    gate::{Credentials, Gate},
    health::Health,
    live::LiveOutput,
    metrics::Metrics,
    router::router,
    serve::serve,
    state::{AppState, Shared},
    tenant::{Common, Tenant},
    token_review::Reviews,
};

/// The HTTP front.
#[derive(Clone)]
pub struct App {
    state: Shared,
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
        let tasks = TaskTracker::new();
        let rules = config.tenants();
        let tenants = rules.iter().count();
        let common = Common { config: &config, tenants, client, blobs, metrics: &metrics, tasks: &tasks };
        let credentials = match &config.token_review {
            None if !config.authenticates() => Credentials::Nothing,
            None => Credentials::Tokens(RwLock::new(config.tokens.clone())),
            Some(TokenReviewRules { audience }) => Credentials::Reviews(Box::new(Reviews::new(
                common.client.clone(),
                audience.clone(),
                metrics.clone(),
            ))),
        };
        let gate = Gate::new(credentials, rules, |rules| Tenant::new(rules, &common));
        let probes = gate.tenants().map(|tenant| tenant.probe()).collect();
        let state = AppState {
            bodies: Bodies::new(config.body, metrics.clone(), config.admission.retry_after_seconds),
            admission: Admission::new(config.admission, metrics.clone()),
            health: Arc::new(Health::new(probes, config.health.clone())),
            gate,
            tasks,
            live,
            registry,
            metrics,
            config,
        };
        Self { state: Arc::new(state) }
    }

    /// The routes. A request needs a [`crate::guard::Connection`] among its extensions to be seen as local.
    pub fn router(&self) -> Router {
        router(Arc::clone(&self.state))
    }

    /// What must run beside the routes until shutdown: the watches of each tenant's executions and pools, the health
    /// check, and a look at the file of tokens.
    pub async fn run_background(&self, shutdown: CancellationToken) {
        let watches = self.state.gate.tenants().map(|tenant| tenant.watch(shutdown.clone()));
        let health = Arc::clone(&self.state.health).refresh(shutdown.clone());
        let tokens = self.state.gate.follow_file(self.state.config.token_file.as_ref(), shutdown.clone());
        tokio::join!(futures::future::join_all(watches), health, tokens);
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
        self.state.tasks.close();
        let ended = async {
            open.wait().await;
            self.state.tasks.wait().await;
        };
        if tokio::time::timeout(self.state.config.drain, ended).await.is_err() {
            tracing::warn!("requests were still under way when the time for them ran out");
        }
    }
}
