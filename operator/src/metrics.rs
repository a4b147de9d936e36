//! What is counted. Labels are closed sets: no names, no uids, no paths.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::pool;

/// One part of an execution's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Stage {
    /// From seeing the object to having a pod.
    Queue,
    /// From the request to the executor to the program's start.
    Start,
    /// The program itself.
    Run,
    /// Finding and storing changed files and long output.
    Collect,
    /// Writing the terminal status.
    Status,
    /// All of it, from seeing the object to the terminal status.
    Total,
}

/// A kind that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Kind {
    /// `CodeExecution`.
    CodeExecution,
    /// `SandboxFile`.
    SandboxFile,
    /// `SandboxPool`.
    SandboxPool,
    /// `Pod`.
    Pod,
}

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Verb {
    /// `create`.
    Create,
    /// `patch` of the status.
    PatchStatus,
    /// `delete`.
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: Kind,
    verb: Verb,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// All metrics of the operator. Clones count into the same.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    stages: Family<StageLabels, Histogram, fn() -> Histogram>,
    writes: Family<WriteLabels, Counter>,
    finished: Family<ReasonLabels, Counter>,
    troubles: Family<ReasonLabels, Counter>,
    /// Executions that found a pod waiting.
    pub(crate) pool_hits: Counter,
    /// Executions that had to wait for a pod.
    pub(crate) pool_misses: Counter,
    /// Executions that got a sandbox of their key again.
    pub(crate) pool_reused: Counter,
    /// Pods that are kept for executions of the key that they had.
    pub(crate) pods_kept: Gauge,
    /// Writes that were refused because the object had changed.
    pub(crate) conflicts: Counter,
    /// Reconciles that failed and are tried again.
    pub(crate) retries: Counter,
    /// Pods that refused an execution, so that another one was taken.
    pub(crate) refusals: Counter,
    /// From asking for a pod until it is usable.
    pub(crate) refill: Histogram,
    /// 1 while this operator leads.
    pub(crate) leader: Gauge,
    /// 1 while the definitions in the cluster are older than this operator.
    pub(crate) crd_outdated: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            stages: Family::new_with_constructor(telemetry::latency_histogram),
            writes: Family::default(),
            finished: Family::default(),
            troubles: Family::default(),
            pool_hits: Counter::default(),
            pool_misses: Counter::default(),
            pool_reused: Counter::default(),
            pods_kept: Gauge::default(),
            conflicts: Counter::default(),
            retries: Counter::default(),
            refusals: Counter::default(),
            refill: telemetry::latency_histogram(),
            leader: Gauge::default(),
            crd_outdated: Gauge::default(),
        };
        let mut add = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        add("carrel_pool_hits", "Executions that found a pod waiting", &metrics.pool_hits);
        add("carrel_pool_misses", "Executions that had to wait for a pod", &metrics.pool_misses);
        let reused = "Executions that got a sandbox of their isolation key again";
        add("carrel_pool_reused", reused, &metrics.pool_reused);
        add("carrel_conflicts", "Writes refused because the object had changed", &metrics.conflicts);
        add("carrel_retries", "Reconciles that failed and are tried again", &metrics.retries);
        add("carrel_refusals", "Pods that refused an execution", &metrics.refusals);
        let refill = "From asking for a sandbox until it is usable";
        registry.register("carrel_refill_seconds", refill, metrics.refill.clone());
        let kept = "Pods kept for executions of the isolation key that they had";
        registry.register("carrel_pods_kept", kept, metrics.pods_kept.clone());
        registry.register("carrel_leader", "1 while this operator leads", metrics.leader.clone());
        let outdated = "1 while the definitions in the cluster are older than this operator";
        registry.register("carrel_crd_outdated", outdated, metrics.crd_outdated.clone());
        registry.register("carrel_stage_seconds", "Duration of each stage", metrics.stages.clone());
        registry.register("carrel_api_writes", "Writes to the API", metrics.writes.clone());
        let troubles = "Times that a pool came to have fewer pods than it should";
        registry.register("carrel_pool_troubles", troubles, metrics.troubles.clone());
        registry.register("carrel_finished", "Executions by how they ended", metrics.finished.clone());
        metrics
    }

    pub(crate) fn stage(&self, stage: Stage, took: Duration) {
        self.stages.get_or_create(&StageLabels { stage }).observe(took.as_secs_f64());
    }

    pub(crate) fn write(&self, kind: Kind, verb: Verb) {
        self.writes.get_or_create(&WriteLabels { kind, verb }).inc();
    }

    pub(crate) fn trouble(&self, reason: pool::trouble::Reason) {
        self.troubles.get_or_create(&ReasonLabels { reason: reason.as_str() }).inc();
    }

    pub(crate) fn finished(&self, reason: crds::Reason) {
        self.finished.get_or_create(&ReasonLabels { reason: reason.as_str() }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_told_under_the_name_that_the_documentation_has() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.stage(Stage::Queue, Duration::from_millis(1));
        metrics.write(Kind::Pod, Verb::Create);
        metrics.finished(crds::Reason::Completed);
        metrics.trouble(pool::trouble::Reason::Quota);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let page = include_str!("../../docs/OPERATIONS.md");
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(names.len(), 14, "{names:?}");
        for line in names {
            let (name, type_) = line.split_once(' ').unwrap();
            let name = if type_ == "counter" { format!("{name}_total") } else { name.to_owned() };
            assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/OPERATIONS.md");
        }
        let in_a_millisecond = |line: &str| {
            line.starts_with("carrel_stage_seconds_bucket")
                && line.contains(r#"le="0.001""#)
                && line.ends_with(" 1")
        };
        assert!(text.lines().any(in_a_millisecond), "{text}");
    }
}
