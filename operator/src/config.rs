//! What an operator must be told. Reading it from flags and the environment is `args.rs`.

use std::time::Duration;

use crds::limits;

use crate::clock::Clock;

/// Which namespaces are looked after.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// All of the cluster.
    #[default]
    All,
    /// These.
    Only(Vec<String>),
}

/// Bearer tokens of the HTTP front that the operator makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontTokens {
    /// The Secret, in the operator's own namespace.
    pub secret: String,
    /// Who gets a token.
    pub identities: Vec<String>,
}

/// Everything an operator must be told.
#[derive(Debug, Clone)]
pub struct OperatorConfig {
    /// Where executions, files and pools are looked after.
    pub namespaces: Namespaces,
    /// Where the operator keeps its Lease and its keys.
    pub operator_namespace: String,
    /// Who this process is in the Lease; unique for each process.
    pub identity: String,
    /// No second operator can exist, so the Lease is taken without waiting for its end.
    pub sole_operator: bool,
    /// The image of pods whose pool names none.
    pub executor_image: String,
    /// What the names of pods begin with.
    pub pod_name_prefix: String,
    /// Whether pods share the node's user namespace; absent when the node decides.
    pub host_users: Option<bool>,
    /// The Python of the executors, when it is not the image's own.
    pub executor_python: Option<String>,
    /// Further environment of the executors.
    pub executor_env: Vec<(String, String)>,
    /// Whether events are written on pools.
    pub events: bool,
    /// Whether nodes are watched, so that pods on a node that is to go are replaced.
    pub watch_nodes: bool,
    /// The front's tokens, when the operator is to make them.
    pub front_tokens: Option<FrontTokens>,
    /// Durations that tests may shorten.
    pub timings: Timings,
    /// The time of day.
    pub clock: Clock,
}

impl Default for OperatorConfig {
    fn default() -> Self {
        Self {
            namespaces: Namespaces::All,
            operator_namespace: "carrel-system".to_owned(),
            identity: format!("operator-{}", uuid::Uuid::new_v4()),
            sole_operator: false,
            executor_image: "carrel-executor:latest".to_owned(),
            pod_name_prefix: "carrel-".to_owned(),
            host_users: None,
            executor_python: None,
            executor_env: Vec::new(),
            events: true,
            watch_nodes: false,
            front_tokens: None,
            timings: Timings::default(),
            clock: Clock::system(),
        }
    }
}

/// Durations that tests may shorten. The defaults are those of [`crds::limits`] where several components agree.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// Duration of the Lease.
    pub lease: Duration,
    /// How often the Lease is renewed.
    pub lease_renew: Duration,
    /// Life of a token.
    pub token: Duration,
    /// What a new leader waits beyond the old lease for pods that do not answer.
    pub takeover_margin: Duration,
    /// After this, what a silent pod may hold is lost.
    pub lost_after: Duration,
    /// A shorter run is never shown as running.
    pub lazy_running: Duration,
    /// A shorter wait is never shown as queued.
    pub lazy_queued: Duration,
    /// How long an execution waits for an input file that is being stored.
    pub input_wait: Duration,
    /// How long a deleted pod may take to end.
    pub pod_grace: Duration,
    /// How long a used pod waits for another execution of its key. The turns of a chat follow each other within minutes;
    /// after that its memory is of more use to others than a start that is a little quicker.
    pub kept: Duration,
    /// How long unreferenced bytes are kept.
    pub blob_grace: Duration,
    /// How long the record of an expired file is kept.
    pub expired_record: Duration,
    /// How often a pool's status is written at most.
    pub pool_status: Duration,
    /// How long an executor may take for a short answer.
    pub executor_answer: Duration,
    /// How many finished executions one namespace keeps.
    pub finished_per_namespace: usize,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            lease: seconds(limits::LEASE_SECONDS),
            lease_renew: seconds(limits::LEASE_RENEW_SECONDS),
            token: seconds(limits::TOKEN_SECONDS),
            takeover_margin: seconds(limits::TAKEOVER_MARGIN_SECONDS),
            lost_after: seconds(limits::LOST_AFTER_SECONDS),
            lazy_running: Duration::from_millis(limits::LAZY_RUNNING_MILLISECONDS),
            lazy_queued: Duration::from_millis(limits::LAZY_QUEUED_MILLISECONDS),
            input_wait: Duration::from_secs(10),
            pod_grace: Duration::from_secs(5),
            kept: Duration::from_mins(5),
            blob_grace: Duration::from_mins(1),
            expired_record: Duration::from_hours(24),
            pool_status: Duration::from_secs(1),
            executor_answer: Duration::from_secs(5),
            finished_per_namespace: limits::FINISHED_PER_NAMESPACE,
        }
    }
}

/// A limit in seconds as a duration; limits are never negative.
pub(crate) fn seconds(limit: i64) -> Duration {
    Duration::from_secs(limit.unsigned_abs())
}
