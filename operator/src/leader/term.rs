//! The present term of this leader, and the tokens that end inside it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use protocol::{Claims, Method, SigningKey, token};
use tokio::sync::watch;

use crate::clock::Clock;

/// This process is not the leader, or its lease has ended: it may ask no executor for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this operator does not hold the lease")]
pub(crate) struct NotLeader;

impl NotLeader {
    /// Whether a write failed for this. Then nothing was sent.
    pub(crate) fn is(error: &kube::Error) -> bool {
        matches!(error, kube::Error::Service(source) if source.is::<Self>())
    }
}

impl From<NotLeader> for kube::Error {
    fn from(error: NotLeader) -> Self {
        Self::Service(error.into())
    }
}

/// How far ahead of one's own an epoch may be that somebody else has met. Each takeover raises it by one, so no
/// history of operators is longer; what comes from a pod may be made up.
const FARTHEST: u64 = 1_000_000;

/// What this leader may do, and until when. Clones are the same term.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    epoch: AtomicU64,
    lease_ends: AtomicI64,
    token_milliseconds: i64,
    key: SigningKey,
    clock: Clock,
    raise: watch::Sender<u64>,
}

impl Term {
    pub(crate) fn new(key: SigningKey, token: std::time::Duration, clock: Clock) -> Self {
        let token_milliseconds = i64::try_from(token.as_millis()).unwrap_or(i64::MAX);
        let inner = Inner {
            epoch: AtomicU64::new(0),
            lease_ends: AtomicI64::new(i64::MIN),
            token_milliseconds,
            key,
            clock,
            raise: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The lease is held in `epoch` until `ends` (Unix milliseconds).
    pub(crate) fn hold(&self, epoch: u64, ends: i64) {
        self.inner.epoch.store(epoch, Ordering::SeqCst);
        self.inner.lease_ends.store(ends, Ordering::SeqCst);
    }

    /// The lease is no longer held.
    pub(crate) fn end(&self) {
        self.inner.lease_ends.store(i64::MIN, Ordering::SeqCst);
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.inner.epoch.load(Ordering::SeqCst)
    }

    /// An executor says that it has met the epoch `met`, or only a higher one than ours, so this leader needs a higher
    /// one still. The lease's keeper stores it. False when that cannot be believed.
    pub(crate) fn outbid(&self, met: Option<u64>) -> bool {
        let Some(higher) = higher(self.epoch(), met) else { return false };
        self.inner.raise.send_if_modified(|wanted| {
            let raise = higher > *wanted;
            *wanted = higher.max(*wanted);
            raise
        });
        true
    }

    /// Tells when a higher epoch is wanted, and which.
    pub(crate) fn wanted(&self) -> watch::Receiver<u64> {
        self.inner.raise.subscribe()
    }

    /// Whether the lease is held by our own clock. A process that slept through its end does not know of it yet.
    pub(crate) fn check(&self) -> Result<(), NotLeader> {
        self.expiry().map(drop)
    }

    /// When a token given now ends.
    fn expiry(&self) -> Result<i64, NotLeader> {
        let now = self.inner.clock.now().timestamp_millis();
        let lease_ends = self.inner.lease_ends.load(Ordering::SeqCst);
        expiry(now, self.inner.token_milliseconds, lease_ends).ok_or(NotLeader)
    }

    /// A header value that permits one request. It ends inside the lease, whatever happens to this process.
    pub(crate) fn token(
        &self,
        method: Method,
        execution_uid: Option<&str>,
        pod_uid: &str,
    ) -> Result<String, NotLeader> {
        let expires = self.expiry()?;
        let claims = Claims {
            key_id: self.inner.key.id().to_owned(),
            method,
            execution_uid: execution_uid.map(str::to_owned),
            pod_uid: pod_uid.to_owned(),
            epoch: self.epoch(),
            expires_unix_milliseconds: expires,
        };
        Ok(token::sign(&self.inner.key, &claims))
    }
}

/// The epoch to take in place of `own` when an executor has met `met`; `None` when that is not believed.
fn higher(own: u64, met: Option<u64>) -> Option<u64> {
    let met = met.unwrap_or(own);
    (met <= own.saturating_add(FARTHEST)).then(|| met.max(own).saturating_add(1))
}

/// When a token given now ends: after its life, and never after the lease.
fn expiry(now: i64, life: i64, lease_ends: i64) -> Option<i64> {
    let expires = now.saturating_add(life).min(lease_ends);
    (expires > now).then_some(expires)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_is_far_ahead_is_not_believed() {
        assert_eq!(higher(4, Some(19)), Some(20));
        assert_eq!(higher(4, None), Some(5), "a pod that does not say which");
        assert_eq!(higher(4, Some(2)), Some(5));
        assert_eq!(higher(4, Some(4 + FARTHEST)), Some(5 + FARTHEST));
        for far in [5 + FARTHEST, u64::MAX - 1, u64::MAX] {
            assert_eq!(higher(4, Some(far)), None, "{far}");
        }
    }

    #[test]
    fn a_token_never_outlives_the_lease() {
        assert_eq!(expiry(1000, 8000, 15_000), Some(9000));
        assert_eq!(expiry(1000, 8000, 5000), Some(5000));
        assert_eq!(expiry(5000, 8000, 5000), None);
        assert_eq!(expiry(5000, 8000, i64::MIN), None);
    }
}
