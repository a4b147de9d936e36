//! Who may start a run now: a bounded number of slots, first come first served (contract, section 2.8).
//! Waiting holds no thread, and not more than `MAX_WAITING` wait: each holds its body. Among several tenants none can
//! have all slots, nor all places in line.

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

/// What one tenant can have of it.
#[derive(Debug)]
pub struct Share {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Share {
    /// Of these slots, among so many tenants: everything when there are no others.
    #[must_use]
    pub fn new(slots: usize, tenants: usize) -> Self {
        let most = |all| if tenants > 1 { most_of_one(all) } else { all };
        let (slots, most_waiting) = (Arc::new(Semaphore::new(most(slots))), most(MAX_WAITING));
        Self { slots, waiting: AtomicUsize::new(0), most_waiting }
    }
}

/// A quarter stays for others, and one at least where there are two.
fn most_of_one(all: usize) -> usize {
    all.saturating_sub((all / 4).max(1)).max(1)
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
    _permits: Permits,
    operation: Operation,
    since: Instant,
    metrics: Metrics,
}

/// Of the tenant's share and of the slots.
type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

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

impl<'a> Waiting<'a> {
    /// One more among those who wait, when there are fewer than this.
    fn join(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let place = waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(waiting);
        (place < most).then_some(waiting)
    }
}

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

    /// Takes a slot of a tenant's share, in order of arrival.
    pub async fn enter(&self, share: &Share, operation: Operation) -> Result<Slot, ShimError> {
        let arrival = Instant::now();
        let Some(permits) = self.permits(share).await else {
            self.metrics.rejected(operation, 429, Rejection::saturated);
            return Err(ShimError::Saturated { retry_after_seconds: self.rules.retry_after_seconds });
        };
        self.metrics.admitted(operation, arrival.elapsed().as_secs_f64());
        Ok(Slot { _permits: permits, operation, since: Instant::now(), metrics: self.metrics.clone() })
    }

    async fn permits(&self, share: &Share) -> Option<Permits> {
        // The semaphores hand a free slot to the first in line, so nobody overtakes here.
        if let Some(permits) = self.free(share) {
            return Some(permits);
        }
        if self.rules.wait.is_zero() {
            return None;
        }
        let _here = Waiting::join(&share.waiting, share.most_waiting)?;
        let _waiting = Waiting::join(&self.waiting, MAX_WAITING)?;
        tokio::time::timeout(self.rules.wait, self.wait(share)).await.ok()?
    }

    fn free(&self, share: &Share) -> Option<Permits> {
        let of_share = Arc::clone(&share.slots).try_acquire_owned().ok()?;
        Some((of_share, Arc::clone(&self.slots).try_acquire_owned().ok()?))
    }

    /// The share first: who has used it up does not stand in the way of others.
    async fn wait(&self, share: &Share) -> Option<Permits> {
        let of_share = Arc::clone(&share.slots).acquire_owned().await.ok()?;
        Some((of_share, Arc::clone(&self.slots).acquire_owned().await.ok()?))
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

    #[test]
    fn one_of_several_tenants_has_three_quarters_and_one_alone_has_all() {
        for (slots, most) in [(1, 1), (2, 1), (3, 2), (4, 3), (16, 12), (100, 75)] {
            assert_eq!(Share::new(slots, 2).slots.available_permits(), most, "{slots}");
            assert_eq!(Share::new(slots, 1).slots.available_permits(), slots);
        }
        assert_eq!((Share::new(1, 2).most_waiting, Share::new(1, 1).most_waiting), (768, MAX_WAITING));
    }

    #[tokio::test]
    async fn a_tenant_that_takes_what_it_can_leaves_slots_to_others() {
        let admission = admission(4, Duration::from_secs(30));
        let (greedy, other) = (Arc::new(Share::new(4, 2)), Share::new(4, 2));
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(admission.enter(&greedy, Operation::execute).await.expect("a free slot"));
        }
        let waits = tokio::spawn({
            let (admission, greedy) = (Arc::clone(&admission), Arc::clone(&greedy));
            async move { admission.enter(&greedy, Operation::execute).await.is_ok() }
        });
        while greedy.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let mine = admission.free(&other).expect("not behind those who wait for their own share");
        assert!(!waits.is_finished());
        held.pop();
        assert!(waits.await.expect("no panic"), "what is given back goes on to who waits");
        drop(mine);
    }

    #[tokio::test]
    async fn a_tenant_does_not_fill_the_line() {
        let admission = admission(1, Duration::from_secs(30));
        let share = Share::new(1, 2);
        let _held = admission.free(&share).expect("a free slot");
        share.waiting.store(share.most_waiting, Ordering::Relaxed);
        assert!(admission.enter(&share, Operation::execute).await.is_err());
        assert_eq!(share.waiting.load(Ordering::Relaxed), share.most_waiting);
    }

    #[tokio::test]
    async fn a_wait_of_zero_rejects_at_once() {
        let (admission, share) = (admission(1, Duration::ZERO), Share::new(1, 1));
        let held = admission.enter(&share, Operation::execute).await.expect("a free slot");
        let refused = admission.enter(&share, Operation::execute).await;
        assert!(matches!(refused, Err(ShimError::Saturated { retry_after_seconds: 2 })));
        drop(held);
        assert!(admission.enter(&share, Operation::execute).await.is_ok());
    }

    #[tokio::test]
    async fn a_wait_that_is_too_long_is_rejected() {
        let (admission, share) = (admission(1, Duration::from_millis(1)), Share::new(1, 1));
        let _held = admission.enter(&share, Operation::execute).await.expect("a free slot");
        assert!(admission.enter(&share, Operation::execute).await.is_err());
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn slots_are_given_in_order_of_arrival() {
        let (admission, share) = (admission(1, Duration::from_secs(30)), Arc::new(Share::new(1, 1)));
        let held = admission.enter(&share, Operation::execute).await.expect("a free slot");
        let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..3 {
            let (shared, share, sender) = (Arc::clone(&admission), Arc::clone(&share), sender.clone());
            tokio::spawn(async move {
                let slot = shared.enter(&share, Operation::execute).await;
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
