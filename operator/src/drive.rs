//! Runs reconciles from a work queue: many objects at once, one object once. Knows nothing of any kind.

use std::{any::Any, fmt, future::Future, hash::Hash, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;
use tokio::{task::JoinSet, time::Instant};

use crate::work_queue::WorkQueue;

/// How long an object rests whose reconcile panicked: a bug, and no reason to stop the others.
const AFTER_PANIC: Duration = Duration::from_secs(30);

/// Reconciles for ever. `reconcile` says when to look again even if nothing happens.
pub(crate) async fn drive<K, F, Fut>(queue: WorkQueue<K>, concurrency: usize, reconcile: F)
where
    K: Clone + Eq + Hash + fmt::Display + Send + Sync + 'static,
    F: Fn(K) -> Fut,
    Fut: Future<Output = Option<Duration>> + Send + 'static,
{
    let mut active = JoinSet::new();
    loop {
        tokio::select! {
            key = queue.next(), if active.len() < concurrency => {
                let (work, queue) = (reconcile(key.clone()), queue.clone());
                active.spawn(async move {
                    let next = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
                        tracing::error!(object = %key, panic = text(panic.as_ref()), "reconcile panicked");
                        Some(AFTER_PANIC)
                    });
                    queue.done(&key, next.map(|delay| Instant::now() + delay));
                });
            }
            Some(_) = active.join_next() => {}
        }
    }
}

/// What a panic said.
pub(crate) fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
