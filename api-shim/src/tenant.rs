//! One tenant at work: the handles of its namespace, and nothing of another's. A request reaches the API only through
//! the tenant it belongs to, so whatever ids it brings, there is no way to what others have.

use std::{sync::Arc, time::Duration};

use blobs::Blobs;
use crds::{CodeExecution, SandboxPool};
use kube::{Api, Client};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admission::Share,
    cancels::Cancels,
    config::ShimConfig,
    convert::SpecRules,
    error::ShimError,
    executions::Executions,
    health::Probe,
    inputs::Inputs,
    metrics::Metrics,
    outputs::Outputs,
    rooms::{Rooms, watch_pools},
    runs::Runs,
    stage::Stage,
    tenants::TenantRules,
    waiters::{Waiters, watch_executions},
    watch::InSync,
};

/// A tenant.
#[derive(Debug)]
pub struct Tenant {
    /// Where everything of it is.
    pub namespace: String,
    /// What its specs say.
    pub spec: SpecRules,
    /// Its runs.
    pub runs: Arc<Runs>,
    /// Its input files.
    pub inputs: Inputs,
    /// What it can have of the slots.
    pub share: Share,
    executions: Api<CodeExecution>,
    pools: Api<SandboxPool>,
    replica: String,
    in_sync: InSync,
    /// How long a request waits for that.
    patience: Duration,
    retry_after_seconds: u64,
}

/// What all tenants share.
pub(crate) struct Common<'a> {
    pub(crate) config: &'a ShimConfig,
    /// How many there are.
    pub(crate) tenants: usize,
    pub(crate) client: Client,
    pub(crate) blobs: Blobs,
    pub(crate) metrics: &'a Metrics,
    /// The runs under way.
    pub(crate) tasks: &'a TaskTracker,
}

impl Tenant {
    /// Puts it together; nothing runs yet.
    #[must_use]
    pub(crate) fn new(rules: &TenantRules, common: &Common<'_>) -> Self {
        let Common { config, client, blobs, .. } = common;
        let namespace = rules.namespace.clone();
        let executions: Api<CodeExecution> = Api::namespaced(client.clone(), &namespace);
        let files = Api::namespaced(client.clone(), &namespace);
        let retry_after_seconds = config.capacity_retry_after_seconds;
        let mut spec = config.spec.clone();
        spec.pool = rules.pool.clone().unwrap_or(spec.pool);
        let created = Executions::new(executions.clone(), config.replica.clone(), retry_after_seconds);
        let runs = Runs {
            cancels: Cancels::new(created.clone(), common.tasks.clone()),
            executions: created,
            rooms: Arc::new(Rooms::default()),
            waiters: Arc::new(Waiters::default()),
            stage: Stage { files: files.clone(), blobs: blobs.clone() },
            outputs: Outputs { blobs: blobs.clone() },
            metrics: common.metrics.clone(),
            tasks: common.tasks.clone(),
            capacity_retry_after_seconds: retry_after_seconds,
            silence: config.silence,
        };
        Self {
            spec,
            runs: Arc::new(runs),
            inputs: Inputs { files },
            share: Share::new(config.admission.slots, common.tenants),
            executions,
            pools: Api::namespaced(client.clone(), &namespace),
            replica: config.replica.clone(),
            in_sync: InSync::default(),
            patience: config.sync,
            retry_after_seconds,
            namespace,
        }
    }

    /// Watches its executions and pools until shutdown.
    pub async fn watch(&self, shutdown: CancellationToken) {
        let waiters = Arc::clone(&self.runs.waiters);
        let executions = watch_executions(
            self.executions.clone(),
            &self.replica,
            waiters,
            &self.in_sync,
            shutdown.clone(),
        );
        let pools = watch_pools(self.pools.clone(), Arc::clone(&self.runs.rooms), shutdown);
        tokio::join!(executions, pools);
    }

    /// Whether the ends of its executions are seen now.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        self.in_sync.now()
    }

    /// Waits a while until the ends of its executions are seen: a run whose end nobody sees must not begin.
    pub async fn in_sync(&self) -> Result<(), ShimError> {
        let retry_after_seconds = self.retry_after_seconds;
        tokio::time::timeout(self.patience, self.in_sync.reached()).await.map_err(|_| {
            let why = format!(
                "the executions of namespace {} cannot be watched; lines about its watch say why",
                self.namespace
            );
            ShimError::Unavailable { why, retry_after_seconds }
        })
    }

    /// What readiness asks of it.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe {
            namespace: self.namespace.clone(),
            pools: self.pools.clone(),
            pool: self.spec.pool.clone(),
            in_sync: self.in_sync.clone(),
        }
    }
}
