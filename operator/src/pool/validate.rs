//! A pool as it is → a pool that can be acted on: pure.

use crds::{
    SandboxPool,
    code_execution::FailureCause,
    sandbox_pool::{Isolation, ReusePolicy},
};
use k8s_openapi::api::core::v1::Pod;

use super::{
    pod::{self, PodDefaults},
    trouble::{Reason, Trouble},
};

/// A pool that can be acted on.
#[derive(Debug, Clone)]
pub(crate) struct ValidPool {
    /// Idle pods that are wanted.
    pub(crate) replicas: usize,
    /// Pods there may be in all.
    pub(crate) max_pods: usize,
    /// Executions that may wait.
    pub(crate) queue_depth: usize,
    /// Idle pods older than this are replaced, in seconds.
    pub(crate) max_age_seconds: i64,
    /// Pods are kept for further executions of the key that they had.
    pub(crate) reuse: bool,
    /// The pod to make, without a name.
    pub(crate) pod: Pod,
    /// The hash of its shape.
    pub(crate) template: String,
    /// The pool is going.
    pub(crate) deleting: bool,
}

/// Checks a pool. The schema has checked the numbers.
pub(crate) fn validate(pool: &SandboxPool, defaults: &PodDefaults) -> Result<ValidPool, Trouble> {
    let spec = &pool.spec;
    let reuse = reuses(pool)?;
    let (pod, template) =
        pod::build(pool, defaults).map_err(|error| invalid(&format!("spec.template: {error}")))?;
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    Ok(ValidPool {
        replicas: count(spec.replicas),
        max_pods: count(spec.max_pods),
        queue_depth: count(spec.queue.depth),
        max_age_seconds: spec.max_pod_age_seconds,
        reuse,
        pod,
        template,
        deleting: pool.metadata.deletion_timestamp.is_some(),
    })
}

/// Whether pods are kept for further executions of the key that they had.
pub(crate) fn reuses(pool: &SandboxPool) -> Result<bool, Trouble> {
    match (pool.spec.reuse_policy, pool.spec.isolation) {
        (ReusePolicy::Never, _) => Ok(false),
        (ReusePolicy::SameKey, Isolation::Restricted) => Ok(true),
        (ReusePolicy::SameKey, Isolation::Nested) | (ReusePolicy::Verified, _) => {
            let message = "only Never, and SameKey with isolation Restricted, are available in this version";
            Err(invalid(&format!("spec.reusePolicy: {message}")))
        }
    }
}

fn invalid(message: &str) -> Trouble {
    Trouble::new(Reason::Invalid, message, Some(FailureCause::CannotStart))
}
