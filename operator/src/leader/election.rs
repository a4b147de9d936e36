//! Taking the Lease, keeping it, giving it back. What to do is decided in `lease.rs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::PostParams,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    lease::{self, Move},
    term::Term,
};
use crate::{
    clock::Clock,
    config::OperatorConfig,
    reach::{OfApi as _, Reach},
};

/// The Lease's name.
const NAME: &str = "carrel-operator";

/// Why the lease could not be taken or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElectionError {
    /// The API did not answer in time, so the lease has ended by now.
    #[error("the lease could not be renewed in time")]
    NotRenewed(#[source] kube::Error),
    /// Somebody else holds it.
    #[error("the lease was taken by {0:?}")]
    Taken(String),
    /// The API refuses the Lease.
    #[error("the lease could not be read or written")]
    Api(#[source] kube::Error),
}

/// The Lease and this process's part in it.
pub(crate) struct Election {
    api: Api<Lease>,
    client: Client,
    namespace: String,
    identity: String,
    alone: bool,
    first: bool,
    duration: Duration,
    renew: Duration,
    clock: Clock,
    term: Term,
    reach: Reach,
}

impl Election {
    /// `first` says that no operator has led here before.
    pub(crate) fn new(
        config: &OperatorConfig,
        client: Client,
        term: Term,
        first: bool,
        reach: Reach,
    ) -> Self {
        Self {
            api: Api::namespaced(client.clone(), &config.operator_namespace),
            client,
            namespace: config.operator_namespace.clone(),
            identity: config.identity.clone(),
            alone: config.sole_operator,
            first,
            duration: config.timings.lease,
            renew: config.timings.lease_renew,
            clock: config.clock.clone(),
            term,
            reach,
        }
    }

    /// Waits until this process is the leader. The answer is the Lease as it was written, and when the term before
    /// had ended, as far as the Lease told.
    pub(crate) async fn acquire(&self) -> Result<(Lease, Option<DateTime<Utc>>), ElectionError> {
        let mut seen: Option<(String, Instant)> = None;
        let mut first = self.first;
        loop {
            let read = self.reach.patiently(|| self.api.get_opt(NAME)).await.map_err(ElectionError::Api)?;
            first &= read.is_none();
            let version = read.as_ref().and_then(|l| l.metadata.resource_version.clone()).unwrap_or_default();
            let since = match &seen {
                Some((old, since)) if *old == version => *since,
                _ => Instant::now(),
            };
            seen = Some((version.clone(), since));
            let candidate = lease::Candidate {
                identity: &self.identity,
                alone: self.alone,
                first,
                duration: self.duration,
            };
            match lease::next_move(read.as_ref(), candidate, since.elapsed(), self.clock.now()) {
                Move::Take { epoch } => {
                    if let Some(lease) = self.write(read.as_ref(), epoch).await? {
                        return Ok((lease, read.as_ref().and_then(lease::ended)));
                    }
                }
                Move::Wait(at_most) => self.changed(&version, at_most).await,
            }
        }
    }

    /// Keeps the lease until it is lost. A higher epoch that an executor asks for is stored at once.
    pub(crate) async fn keep(&self, mut lease: Lease) -> ElectionError {
        let mut wanted = self.term.wanted();
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = sleep(self.renew) => {}
                _ = wanted.changed() => {}
            }
            let epoch = lease::epoch(&lease).max(*wanted.borrow_and_update());
            match self.renewed(&lease, epoch, renewed + self.duration).await {
                Ok((written, at)) => (lease, renewed) = (written, at),
                Err(error) => {
                    self.term.end();
                    return error;
                }
            }
        }
    }

    /// Gives the lease back, so that the next leader need not wait for its end.
    pub(crate) async fn release(&self) {
        self.term.end();
        let released = async {
            let Some(read) = self.api.get_opt(NAME).await? else { return Ok(()) };
            let holder = read.spec.as_ref().and_then(|s| s.holder_identity.clone());
            if holder.as_deref() == Some(&self.identity) {
                self.api.replace(NAME, &PostParams::default(), &lease::released(read)).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Ok(Err(error)) = timeout(Duration::from_secs(2), released).await {
            tracing::warn!(%error, "the lease was not given back; it ends by itself");
        }
    }

    /// One renewal, tried again until the lease would have ended.
    async fn renewed(
        &self,
        lease: &Lease,
        epoch: u64,
        ends: Instant,
    ) -> Result<(Lease, Instant), ElectionError> {
        loop {
            let at = Instant::now();
            let error = match timeout(self.renew, self.write_over(lease, epoch)).await {
                Ok(Ok(written)) => return Ok((written, at)),
                Ok(Err(error)) => error,
                Err(_) => kube::Error::Service("the API did not answer".into()),
            };
            if matches!(&error, kube::Error::Api(status) if status.code == 409 || status.code == 404) {
                match self.adopt(epoch).await {
                    Ok(Some(written)) => return Ok((written, at)),
                    Ok(None) => {}
                    Err(taken) => return Err(taken),
                }
            }
            if Instant::now() + self.renew / 4 >= ends {
                return Err(ElectionError::NotRenewed(error));
            }
            sleep(self.renew / 20).await;
        }
    }

    /// The Lease changed under us: still ours (somebody wrote a label, or our last write did arrive), or not.
    async fn adopt(&self, epoch: u64) -> Result<Option<Lease>, ElectionError> {
        let Ok(read) = self.api.get_opt(NAME).await else { return Ok(None) };
        let Some(read) = read else { return Err(ElectionError::Taken("nobody: it was deleted".to_owned())) };
        let holder = read.spec.as_ref().and_then(|s| s.holder_identity.clone()).unwrap_or_default();
        if holder != self.identity {
            return Err(ElectionError::Taken(holder));
        }
        Ok(self.write_over(&read, epoch.max(lease::epoch(&read))).await.ok())
    }

    /// Takes the Lease; `None` when somebody else was faster, or nobody knows.
    async fn write(&self, read: Option<&Lease>, epoch: u64) -> Result<Option<Lease>, ElectionError> {
        let write = async {
            if let Some(lease) = read {
                return self.write_over(lease, epoch).await;
            }
            let now = self.clock.now();
            let lease = lease::held(None, NAME, &self.identity, epoch, self.duration, now);
            let created = self.api.create(&PostParams::default(), &lease).await;
            created.inspect(|_| self.hold(epoch, now))
        };
        let late = |_| Err(kube::Error::Service("the API did not answer".into()));
        let written = timeout(self.renew, write).await.unwrap_or_else(late);
        match written {
            Ok(lease) => Ok(Some(lease)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) if error.unanswered().is_some() => {
                // It may have arrived. Whether it did is seen by the next look.
                tracing::warn!(%error, "the lease was not written; it is tried again");
                sleep(self.renew / 5).await;
                Ok(None)
            }
            Err(error) => Err(ElectionError::Api(error)),
        }
    }

    async fn write_over(&self, read: &Lease, epoch: u64) -> Result<Lease, kube::Error> {
        let now = self.clock.now();
        let lease = lease::held(Some(read), NAME, &self.identity, epoch, self.duration, now);
        let written = self.api.replace(NAME, &PostParams::default(), &lease).await?;
        self.hold(epoch, now);
        Ok(written)
    }

    /// The lease counts from before the write, so that we never believe in it longer than others do.
    fn hold(&self, epoch: u64, written: DateTime<Utc>) {
        let duration = i64::try_from(self.duration.as_millis()).unwrap_or(i64::MAX);
        self.term.hold(epoch, written.timestamp_millis().saturating_add(duration));
    }

    /// Waits until the Lease is no longer what it was, or for `at_most`.
    async fn changed(&self, version: &str, at_most: Duration) {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut events = watcher::watch_object(api, NAME).default_backoff().boxed();
        let change = async {
            while let Some(event) = events.next().await {
                // A Lease that is not there has the version "", as in `acquire`.
                if let Ok(lease) = event
                    && lease.and_then(|l| l.metadata.resource_version).unwrap_or_default() != version
                {
                    return;
                }
            }
        };
        let _ = timeout(at_most, change).await;
    }
}
