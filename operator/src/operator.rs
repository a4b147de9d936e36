//! The whole operator: becomes the leader, runs the controllers while it is, and ends when it is no more.

use std::sync::Arc;

use blobs::Blobs;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    code_execution::hand_over::hand_over,
    config::OperatorConfig,
    context::{Context, Parts},
    controllers, definitions, front_tokens,
    keys::{self, Keys},
    leader::{election::Election, term::Term},
    live_output::LiveOutputs,
    live_server::{self, Leading},
    metrics::Metrics,
    reach::Reach,
    supervisor::Supervisor,
};

/// Why an operator ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no signing key.
    #[error("the signing key could not be had")]
    Keys(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The lease could not be taken, or was lost.
    #[error("this operator is not the leader (any more)")]
    Lease(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A loop that never ends has ended.
    #[error("the {name} ended{because}")]
    Task {
        /// Which.
        name: &'static str,
        /// Why, when it is known.
        because: String,
    },
}

/// An operator that has not been started.
#[derive(Debug)]
pub struct Operator {
    config: OperatorConfig,
    client: Silent,
    blobs: Blobs,
    live: LiveOutputs,
    registry: Arc<Registry>,
    metrics: Metrics,
    leading: Leading,
}

/// The client, which says nothing about itself.
struct Silent(Client);

impl std::fmt::Debug for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Operator {
    /// An operator for the cluster of `client` that keeps bytes in `blobs`.
    #[must_use]
    pub fn new(config: OperatorConfig, client: Client, blobs: Blobs) -> Self {
        let mut registry = telemetry::new_registry("operator", env!("CARGO_PKG_VERSION"));
        let metrics = Metrics::register(&mut registry);
        let (client, live, registry) = (Silent(client), LiveOutputs::default(), Arc::new(registry));
        Self { config, client, blobs, live, registry, metrics, leading: Leading::default() }
    }

    /// The output of running programs. Clones are the same.
    #[must_use]
    pub fn live_output(&self) -> LiveOutputs {
        self.live.clone()
    }

    /// The operator's metrics, for those who serve them themselves.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Health, readiness and metrics of this operator, for a port of their own.
    #[must_use]
    pub fn admin(&self) -> telemetry::Admin {
        self.leading.admin(Arc::clone(&self.registry))
    }

    /// Runs until `shutdown`, or until the lease is lost. Then nothing of it goes on, and the lease is given back.
    /// Live output, health and metrics are served on `internal`, when there is one.
    pub async fn run(
        self,
        internal: Option<TcpListener>,
        shutdown: CancellationToken,
    ) -> Result<(), OperatorError> {
        let Self { config, client: Silent(client), blobs, live, registry, metrics, leading } = self;
        let mut tasks: JoinSet<OperatorError> = JoinSet::new();
        if let Some(listener) = internal {
            let server = live_server::Server::new(client.clone(), live.clone(), registry, leading.clone());
            spawn(&mut tasks, "internal port", Box::pin(server.run(listener)));
        }
        let looking = definitions::keep(client.clone(), leading.definitions.clone(), metrics.clone());
        spawn(&mut tasks, "look at the definitions", Box::pin(looking));
        if let Some(wanted) = config.front_tokens.clone() {
            let (namespace, trouble) = (config.operator_namespace.clone(), leading.front_tokens.clone());
            let keeping = front_tokens::keep(client.clone(), namespace, wanted, trouble);
            spawn(&mut tasks, "tokens of the front", Box::pin(keeping));
        }
        let begun = tokio::select! {
            begun = begin(&config, &client, &leading.reach) => begun?,
            error = first_end(&mut tasks) => return Err(error),
            () = shutdown.cancelled() => return Ok(()),
        };
        let Begun { keys, term, election, lease, last_ended } = begun;
        tracing::info!(identity = config.identity, epoch = term.epoch(), "this operator is the leader");
        let (supervisor, short_lived) = Supervisor::new();
        spawn(&mut tasks, "short-lived tasks", Box::pin(short_lived.run()));
        let (definitions, leader) = (leading.definitions.clone(), metrics.leader.clone());
        let parts =
            Parts { config, client, blobs, metrics, live, term, keys, supervisor, definitions, last_ended };
        let context = Context::new(parts);
        leading.begin(&context);
        leader.set(1);
        for (name, task) in controllers::all(&context) {
            spawn(&mut tasks, name, task);
        }
        let ended = lead(&election, lease, &mut tasks, &shutdown).await;
        leading.end();
        leader.set(0);
        tasks.shutdown().await;
        if !matches!(ended, Err(OperatorError::Lease(_))) {
            hand_over(&context).await;
        }
        election.release().await;
        ended
    }
}

/// What a leader has at its beginning.
struct Begun {
    keys: Keys,
    term: Term,
    election: Election,
    lease: Lease,
    last_ended: Option<DateTime<Utc>>,
}

/// Makes the keys, then waits to become the leader.
async fn begin(config: &OperatorConfig, client: &Client, reach: &Reach) -> Result<Begun, OperatorError> {
    let namespace = &config.operator_namespace;
    let keys = reach.patiently(|| keys::load(client.clone(), namespace)).await;
    let keys = keys.map_err(|error| OperatorError::Keys(error.into()))?;
    let term = Term::new(keys.current.clone(), config.timings.token, config.clock.clone());
    let election = Election::new(config, client.clone(), term.clone(), keys.made, reach.clone());
    let (lease, last_ended) = election.acquire().await.map_err(|error| OperatorError::Lease(error.into()))?;
    Ok(Begun { keys, term, election, lease, last_ended })
}

/// Keeps the lease while the tasks run.
async fn lead(
    election: &Election,
    lease: Lease,
    tasks: &mut JoinSet<OperatorError>,
    shutdown: &CancellationToken,
) -> Result<(), OperatorError> {
    tokio::select! {
        error = election.keep(lease) => Err(OperatorError::Lease(error.into())),
        error = first_end(tasks) => Err(error),
        () = shutdown.cancelled() => Ok(()),
    }
}

fn spawn(tasks: &mut JoinSet<OperatorError>, name: &'static str, task: BoxFuture<'static, ()>) {
    tasks.spawn(async move {
        task.await;
        OperatorError::Task { name, because: String::new() }
    });
}

/// The error of the first task that ends; none ever should.
async fn first_end(tasks: &mut JoinSet<OperatorError>) -> OperatorError {
    match tasks.join_next().await {
        Some(Ok(error)) => error,
        Some(Err(error)) => OperatorError::Task { name: "operator", because: format!(": {error}") },
        None => futures::future::pending().await,
    }
}
