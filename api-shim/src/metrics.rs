//! The series of contract section 11, under the names and with the bounds that dashboards know, and a histogram of our
//! own for each stage of a request, from one millisecond.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// What takes a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names of the variants are the label values")]
pub enum Operation {
    /// `POST /v1/execute`.
    execute,
    /// `POST /v1/execute/stream`.
    execute_stream,
    /// `POST /v1/sessions`.
    session_create,
    /// `POST /v1/sessions/{id}/bash`.
    session_bash,
    /// `POST /v1/sessions/{id}/python` and its stream.
    session_python,
    /// `POST /v1/execute-custom-tool`.
    custom_tool,
    /// `/runcode`.
    runcode,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::execute,
        Self::execute_stream,
        Self::session_create,
        Self::session_bash,
        Self::session_python,
        Self::custom_tool,
        Self::runcode,
    ];
}

/// How an admitted request ended. A program's own failure is `ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names of the variants are the label values")]
pub enum Outcome {
    /// The program ended.
    ok,
    /// The program ran into its deadline.
    timed_out,
    /// It could not be run.
    error,
}

/// Why a request was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names of the variants are the label values")]
pub enum Rejection {
    /// All slots of this replica were taken.
    saturated,
    /// A quota is used up.
    quota_exceeded,
    /// No sandbox became ready.
    unschedulable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: Operation,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CompletedLabels {
    operation: Operation,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectedLabels {
    operation: Operation,
    status: u16,
    reason: Rejection,
}

/// The bounds that dashboards were made for.
const KNOWN_BUCKETS_SECONDS: [f64; 12] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// The shim's metrics. Cheap to clone; every clone counts into the same series.
#[derive(Debug, Clone)]
pub struct Metrics {
    active: Family<OperationLabel, Gauge>,
    limit: Gauge,
    out_of_sync: Gauge,
    reviews_refused: Counter,
    rejected: Family<RejectedLabels, Counter>,
    completed: Family<CompletedLabels, Counter>,
    admission_wait: Histogram,
    duration: Histogram,
    authenticate: Histogram,
    prepare: Histogram,
    admit: Histogram,
    create: Histogram,
    wait: Histogram,
    fetch: Histogram,
}

impl Metrics {
    /// Makes the series and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let known = || Histogram::new(KNOWN_BUCKETS_SECONDS);
        let metrics = Self {
            active: Family::default(),
            limit: Gauge::default(),
            out_of_sync: Gauge::default(),
            reviews_refused: Counter::default(),
            rejected: Family::default(),
            completed: Family::default(),
            admission_wait: known(),
            duration: known(),
            authenticate: telemetry::latency_histogram(),
            prepare: telemetry::latency_histogram(),
            admit: telemetry::latency_histogram(),
            create: telemetry::latency_histogram(),
            wait: telemetry::latency_histogram(),
            fetch: telemetry::latency_histogram(),
        };
        for operation in Operation::ALL {
            // A series that exists from the start can be told from one that is missing.
            metrics.active.get_or_create(&OperationLabel { operation }).set(0);
        }
        metrics.register_all(registry);
        metrics
    }

    fn register_all(&self, registry: &mut Registry) {
        let name = |rest: &str| format!("code_interpreter_{rest}");
        registry.register(name("executions_active"), "Requests that hold a slot", self.active.clone());
        registry.register(name("executions_limit"), "Slots of this replica", self.limit.clone());
        registry.register(
            name("executions_rejected"),
            "Requests turned away for want of room",
            self.rejected.clone(),
        );
        registry.register(
            name("executions_completed"),
            "Admitted requests by outcome",
            self.completed.clone(),
        );
        registry.register(name("admission_wait_seconds"), "Wait for a slot", self.admission_wait.clone());
        registry.register(name("execution_duration_seconds"), "Time with a slot", self.duration.clone());
        registry.register(
            "carrel_shim_tenants_out_of_sync",
            "Tenants whose executions cannot be watched now",
            self.out_of_sync.clone(),
        );
        registry.register(
            "carrel_shim_reviews_refused",
            "Tokens that the API was asked about and that were refused",
            self.reviews_refused.clone(),
        );
        for (stage, help, histogram) in [
            ("authenticate", "Asking the API about a token", &self.authenticate),
            ("prepare", "Reading and checking a request, and finding its inputs", &self.prepare),
            ("admit", "Wait for a slot", &self.admit),
            ("create", "Staging and creating the object", &self.create),
            ("wait", "From the object's creation to its end", &self.wait),
            ("fetch", "Fetching stored output", &self.fetch),
        ] {
            registry.register(format!("carrel_shim_{stage}_seconds"), help, histogram.clone());
        }
    }

    /// How many slots there are.
    pub fn set_limit(&self, slots: usize) {
        self.limit.set(i64::try_from(slots).unwrap_or(i64::MAX));
    }

    /// How many tenants cannot be served because the ends of their executions are not seen.
    pub fn set_out_of_sync(&self, tenants: usize) {
        self.out_of_sync.set(i64::try_from(tenants).unwrap_or(i64::MAX));
    }

    /// A slot was taken after this many seconds.
    pub fn admitted(&self, operation: Operation, waited_seconds: f64) {
        self.admission_wait.observe(waited_seconds);
        self.admit.observe(waited_seconds);
        self.active.get_or_create(&OperationLabel { operation }).inc();
    }

    /// A slot was given back.
    pub fn released(&self, operation: Operation, held_seconds: f64) {
        self.duration.observe(held_seconds);
        self.active.get_or_create(&OperationLabel { operation }).dec();
    }

    /// A request was turned away.
    pub fn rejected(&self, operation: Operation, status: u16, reason: Rejection) {
        self.rejected.get_or_create(&RejectedLabels { operation, status, reason }).inc();
    }

    /// An admitted request has an outcome.
    pub fn completed(&self, operation: Operation, outcome: Outcome) {
        self.completed.get_or_create(&CompletedLabels { operation, outcome }).inc();
    }

    /// A token that the API was asked about is refused.
    pub fn review_refused(&self) {
        self.reviews_refused.inc();
    }

    /// The API said after this many seconds whose a token is.
    pub fn authenticated(&self, seconds: f64) {
        self.authenticate.observe(seconds);
    }

    /// A request was ready to be run after this many seconds.
    pub fn prepared(&self, seconds: f64) {
        self.prepare.observe(seconds);
    }

    /// The object was created after this many seconds.
    pub fn created(&self, seconds: f64) {
        self.create.observe(seconds);
    }

    /// The execution ended after this many seconds.
    pub fn waited(&self, seconds: f64) {
        self.wait.observe(seconds);
    }

    /// Stored output was fetched after this many seconds.
    pub fn fetched(&self, seconds: f64) {
        self.fetch.observe(seconds);
    }
}
