//! What every controller has at hand. One of it lives as long as one term of leadership.

use std::sync::Arc;

use blobs::Blobs;
use chrono::{DateTime, Utc};
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    backoff::Backoff,
    clock::Clock,
    code_execution::{cache::Executions, runs::Runs, ttl::Ttl},
    config::OperatorConfig,
    definitions::Definitions,
    executor_client::ExecutorClient,
    key::Key,
    keys::Keys,
    leader::{takeover::Takeover, term::Term},
    live_output::LiveOutputs,
    metrics::Metrics,
    nodes::Nodes,
    pool::{
        cache::{Pods, Pools},
        pod::PodDefaults,
        reserve::Reserve,
    },
    sandbox_file::{cache::Files, gc::Gc},
    supervisor::Supervisor,
    work_queue::WorkQueue,
    writes::Writes,
};

/// What every controller has at hand. The caches are what the watches have shown; the truth is in the API and in
/// the executors.
pub(crate) struct Context {
    pub(crate) config: OperatorConfig,
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    pub(crate) writes: Writes,
    pub(crate) blobs: Blobs,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Recorder,
    pub(crate) term: Term,
    pub(crate) executor: ExecutorClient,
    pub(crate) live: LiveOutputs,
    pub(crate) supervisor: Supervisor,
    pub(crate) pod_defaults: PodDefaults,
    pub(crate) definitions: Definitions,

    pub(crate) takeover: Mutex<Takeover>,
    pub(crate) reserve: Mutex<Reserve>,
    pub(crate) executions: Executions,
    pub(crate) runs: Runs,
    pub(crate) ttl: Ttl,
    pub(crate) pods: Pods,
    pub(crate) pools: Pools,
    pub(crate) files: Files,
    pub(crate) nodes: Nodes,
    pub(crate) gc: Gc,

    pub(crate) execution_queue: WorkQueue<Key>,
    pub(crate) pool_queue: WorkQueue<Key>,
    pub(crate) file_queue: WorkQueue<Key>,
    pub(crate) execution_backoff: Backoff<Key>,
    pub(crate) pool_backoff: Backoff<Key>,
    pub(crate) file_backoff: Backoff<Key>,
}

/// What an operator has before it is the leader.
pub(crate) struct Parts {
    pub(crate) config: OperatorConfig,
    pub(crate) client: Client,
    pub(crate) blobs: Blobs,
    pub(crate) metrics: Metrics,
    pub(crate) live: LiveOutputs,
    pub(crate) term: Term,
    pub(crate) keys: Keys,
    pub(crate) supervisor: Supervisor,
    pub(crate) definitions: Definitions,
    /// When the term before this one had ended, as far as the Lease told.
    pub(crate) last_ended: Option<DateTime<Utc>>,
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { config, client, blobs, metrics, live, term, keys, supervisor, definitions, last_ended } =
            parts;
        let timings = config.timings;
        let mut takeover =
            Takeover::new(Instant::now(), timings.lease + timings.takeover_margin, timings.lost_after);
        // Executors of the only operator end with it, and leave their last words.
        if let Some(ended) = last_ended.filter(|_| !config.sole_operator) {
            takeover.unattended(ended, config.clock.now());
        }
        let mut env = config.executor_env.clone();
        env.extend(config.executor_python.clone().map(|python| ("CARREL_PYTHON".to_owned(), python)));
        let pod_defaults = PodDefaults {
            image: config.executor_image.clone(),
            public_keys: keys.public,
            host_users: config.host_users,
            env,
        };
        let reporter = Reporter {
            controller: "carrel-operator".to_owned(),
            instance: Some(config.identity.chars().take(128).collect()),
        };
        Arc::new(Self {
            clock: config.clock.clone(),
            writes: Writes::new(client.clone(), term.clone(), metrics.clone()),
            recorder: Recorder::new(client.clone(), reporter),
            executor: ExecutorClient::new(term.clone(), timings.executor_answer),
            takeover: Mutex::new(takeover),
            reserve: Mutex::default(),
            executions: Executions::default(),
            runs: Runs::default(),
            ttl: Ttl::new(timings.finished_per_namespace),
            pods: Pods::default(),
            pools: Pools::default(),
            files: Files::default(),
            nodes: Nodes::default(),
            gc: Gc::new(timings.blob_grace),
            execution_queue: WorkQueue::new(),
            pool_queue: WorkQueue::new(),
            file_queue: WorkQueue::new(),
            execution_backoff: Backoff::new(),
            pool_backoff: Backoff::new(),
            file_backoff: Backoff::new(),
            config,
            client,
            blobs,
            metrics,
            live,
            term,
            supervisor,
            pod_defaults,
            definitions,
        })
    }
}
