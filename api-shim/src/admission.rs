//! Who may start a run now: a bounded number of slots, first come first served (contract, section 2.8).
//! Waiting holds no thread, and not more than `MAX_WAITING` wait: each holds its body.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::ShimError,
    metrics::{Metrics, Operation, Rejection},
};

/// Further requests are rejected at once, because every waiting one holds its body in memory.
const MAX_WAITING: usize = 1024;

/// What the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionRules {
    /// Runs at a time.
    pub slots: usize,
    /// How long a request waits for one; zero rejects at once.
    pub wait: Duration,
    /// `Retry-After` of a rejection.
    pub retry_after_seconds: u64,
}

/// The slots of this replica.
#[derive(Debug)]
pub struct Admission {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    rules: AdmissionRules,
    metrics: Metrics,
}

/// A slot; it is given back when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
    operation: Operation,
    since: Instant,
    metrics: Metrics,
}

impl Slot {
    /// What holds it.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.metrics.released(self.operation, self.since.elapsed().as_secs_f64());
    }
}

/// One waiting request; counted down also when its client goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// The slots of the rules, all free.
    #[must_use]
    pub fn new(rules: AdmissionRules, metrics: Metrics) -> Self {
        metrics.set_limit(rules.slots);
        Self { slots: Arc::new(Semaphore::new(rules.slots)), waiting: AtomicUsize::new(0), rules, metrics }
    }

    /// Takes a slot, in order of arrival.
    pub async fn enter(&self, operation: Operation) -> Result<Slot, ShimError> {
        let arrival = Instant::now();
        let Some(permit) = self.permit().await else {
            self.metrics.rejected(operation, 429, Rejection::saturated);
            return Err(ShimError::Saturated { retry_after_seconds: self.rules.retry_after_seconds });
        };
        self.metrics.admitted(operation, arrival.elapsed().as_secs_f64());
        Ok(Slot { _permit: permit, operation, since: Instant::now(), metrics: self.metrics.clone() })
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore hands a free slot to the first in line, so nobody overtakes here.
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(permit);
        }
        if self.rules.wait.is_zero() {
            return None;
        }
        let place = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if place >= MAX_WAITING {
            return None;
        }
        tokio::time::timeout(self.rules.wait, Arc::clone(&self.slots).acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    fn admission(slots: usize, wait: Duration) -> Arc<Admission> {
        let metrics = Metrics::register(&mut Registry::default());
        Arc::new(Admission::new(AdmissionRules { slots, wait, retry_after_seconds: 2 }, metrics))
    }

    #[tokio::test]
    async fn a_wait_of_zero_rejects_at_once() {
        let admission = admission(1, Duration::ZERO);
        let held = admission.enter(Operation::execute).await.expect("a free slot");
        let refused = admission.enter(Operation::execute).await;
        assert!(matches!(refused, Err(ShimError::Saturated { retry_after_seconds: 2 })));
        drop(held);
        assert!(admission.enter(Operation::execute).await.is_ok());
    }

    #[tokio::test]
    async fn a_wait_that_is_too_long_is_rejected() {
        let admission = admission(1, Duration::from_millis(1));
        let _held = admission.enter(Operation::execute).await.expect("a free slot");
        assert!(admission.enter(Operation::execute).await.is_err());
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn slots_are_given_in_order_of_arrival() {
        let admission = admission(1, Duration::from_secs(30));
        let held = admission.enter(Operation::execute).await.expect("a free slot");
        let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..3 {
            let (shared, sender) = (Arc::clone(&admission), sender.clone());
            tokio::spawn(async move {
                let slot = shared.enter(Operation::execute).await;
                sender.send(number).expect("the test listens");
                drop(slot);
            });
            while admission.waiting.load(Ordering::Relaxed) <= number {
                tokio::task::yield_now().await;
            }
        }
        drop(held);
        let came = [order.recv().await, order.recv().await, order.recv().await];
        assert_eq!(came, [Some(0), Some(1), Some(2)]);
    }
}
