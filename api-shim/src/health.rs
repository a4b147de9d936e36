//! Whether the backend answers: refreshed in the background for `/health`, asked live for `/ready`
//! (contract, section 11). Nothing here starts a sandbox.
//!
//! The service is ready when at least one tenant can be served: the API answers, the tenant's pool is there, and the
//! ends of its executions are seen. One tenant whose pool or rights are gone must not take the service away from the
//! others; its own requests are told by `tenant.rs`. So one answer of the API is enough, however many tenants there are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crds::SandboxPool;
use futures::{StreamExt, stream::FuturesUnordered};
use kube::Api;
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{config::HealthRules, watch::InSync};

/// The answer of `/health` and `/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HealthAnswer {
    /// `ok` or `error`.
    pub status: &'static str,
    /// What is wrong; null when nothing is.
    pub message: Option<String>,
    /// Our semantic version.
    pub version: String,
    /// `kubernetes` or `standalone`.
    pub executor_backend: String,
    /// The layers of network isolation in force, or `none`.
    pub network_isolation: String,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    fault: Option<String>,
    isolation: Vec<String>,
}

#[derive(Debug)]
struct Memory {
    last: Option<(Check, Instant)>,
    born: Instant,
}

/// What is asked of one tenant.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Where.
    pub namespace: String,
    /// The pools there.
    pub pools: Api<SandboxPool>,
    /// The one that has to be there.
    pub pool: String,
    /// Whether the ends of executions are seen.
    pub in_sync: InSync,
}

/// The state of the backend as last seen.
#[derive(Debug)]
pub struct Health {
    tenants: Vec<Probe>,
    rules: HealthRules,
    memory: Mutex<Memory>,
    /// One live check at a time; those who come meanwhile share it.
    flight: tokio::sync::Mutex<()>,
    /// Set when the service is about to end.
    draining: AtomicBool,
}

impl Health {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(tenants: Vec<Probe>, rules: HealthRules) -> Self {
        let memory = Mutex::new(Memory { last: None, born: Instant::now() });
        Self { tenants, rules, memory, flight: tokio::sync::Mutex::new(()), draining: AtomicBool::new(false) }
    }

    /// The service is about to end: it is not ready any more, whatever the backend says.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Checks now and then until shutdown.
    pub async fn refresh(self: Arc<Self>, shutdown: CancellationToken) {
        let mut beats = tokio::time::interval(self.rules.interval);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = beats.tick() => drop(self.live().await),
            }
        }
    }

    /// The answer from memory, and whether it is worth a 200.
    #[must_use]
    pub fn remembered(&self) -> (HealthAnswer, bool) {
        let memory = self.memory.lock();
        let age = memory.last.as_ref().map_or(memory.born, |(_, at)| *at).elapsed();
        let stuck = is_stuck(age, &self.rules);
        let check = memory.last.as_ref().map(|(check, _)| check.clone());
        drop(memory);
        let check = match check {
            _ if stuck => {
                fault(format!("the backend check is stuck: none has completed for {} s", age.as_secs()))
            }
            Some(check) => check,
            None => fault("the backend has not been checked yet".to_owned()),
        };
        (self.answer(check), !stuck)
    }

    /// The answer of a check that completes after this call, shared with everybody who waits meanwhile.
    pub async fn live(&self) -> (HealthAnswer, bool) {
        if self.draining.load(Ordering::Relaxed) {
            return (self.answer(fault("the service is shutting down".to_owned())), false);
        }
        let asked = Instant::now();
        let _flight = self.flight.lock().await;
        let shared = self.memory.lock().last.clone().filter(|(_, completed)| *completed >= asked);
        let check = match shared {
            Some((check, _)) => check,
            None => self.check_now().await,
        };
        let ready = check.fault.is_none();
        (self.answer(check), ready)
    }

    async fn check_now(&self) -> Check {
        let due = tokio::time::Instant::now() + self.rules.check_timeout;
        let check = self.first_usable(due).await.unwrap_or_else(fault);
        self.memory.lock().last = Some((check.clone(), Instant::now()));
        check
    }

    /// Waits for any tenant whose executions are seen, and asks those one after the other until one can be served; else
    /// says what is wrong with the first.
    async fn first_usable(&self, due: tokio::time::Instant) -> Result<Check, String> {
        let mut any: FuturesUnordered<_> =
            self.tenants.iter().map(|tenant| tenant.in_sync.reached()).collect();
        if tokio::time::timeout_at(due, any.next()).await.is_err() {
            let fault = "the Kubernetes API does not show the executions";
            tracing::warn!("the backend check failed: {fault}");
            return Err(fault.to_owned());
        }
        let mut first = None;
        for tenant in self.tenants.iter().filter(|tenant| tenant.in_sync.now()) {
            match tenant.check(due).await {
                Ok(check) => return Ok(check),
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        Err(first.unwrap_or_else(|| "no tenant can be served".to_owned()))
    }

    fn answer(&self, check: Check) -> HealthAnswer {
        HealthAnswer {
            status: if check.fault.is_none() { "ok" } else { "error" },
            message: check.fault,
            version: self.rules.version.clone(),
            executor_backend: self.rules.backend.clone(),
            network_isolation: network_layers(&check.isolation),
        }
    }
}

impl Probe {
    async fn check(&self, due: tokio::time::Instant) -> Result<Check, String> {
        let refused = |fault: String, error: Option<&kube::Error>| {
            let error = error.map(|error| telemetry::with_causes(error));
            tracing::warn!(namespace = self.namespace, error, "the backend check failed: {fault}");
            fault
        };
        match tokio::time::timeout_at(due, self.pools.get_opt(&self.pool)).await {
            Err(_) => Err(refused("the Kubernetes API did not answer in time".to_owned(), None)),
            Ok(Err(error)) => Err(refused("the Kubernetes API refused or failed".to_owned(), Some(&error))),
            Ok(Ok(None)) => Err(refused(format!("there is no SandboxPool '{}'", self.pool), None)),
            Ok(Ok(Some(pool))) => Ok(Check {
                fault: None,
                isolation: pool.status.map(|status| status.isolation).unwrap_or_default(),
            }),
        }
    }
}

/// Of all layers of isolation those that are about the network; without one, `none`.
fn network_layers(layers: &[String]) -> String {
    let network: Vec<_> =
        layers.iter().filter(|layer| layer.contains("network")).map(String::as_str).collect();
    if network.is_empty() { "none".to_owned() } else { network.join(", ") }
}

fn fault(message: String) -> Check {
    Check { fault: Some(message), isolation: Vec::new() }
}

/// No check has completed for three intervals and the time of one check.
fn is_stuck(age: Duration, rules: &HealthRules) -> bool {
    age > rules.interval * 3 + rules.check_timeout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_layers_of_the_network_isolate_the_network() {
        let layers =
            |names: &[&str]| network_layers(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(layers(&[]), "none");
        assert_eq!(layers(&["rlimits", "landlock"]), "none");
        assert_eq!(
            layers(&["network-namespace", "seccomp", "network-policy"]),
            "network-namespace, network-policy"
        );
    }

    #[test]
    fn a_check_is_stuck_after_three_intervals_and_its_own_time() {
        let rules = crate::config::ShimConfig::default().health;
        assert!(!is_stuck(Duration::from_millis(92_500), &rules));
        assert!(is_stuck(Duration::from_millis(92_501), &rules));
    }
}
