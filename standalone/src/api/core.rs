//! What every request handler shares.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{
    clock::Options,
    kinds::{Kind, Registry},
    metrics::Metrics,
    status_error::{Result, StatusError},
    store::{Object, ObjectName, Store, Write, WriteError},
    tls::Credentials,
};

/// The shared state of the API.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
    pub(crate) credentials: Credentials,
    pub(crate) stop: CancellationToken,
}

impl Core {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.options.clock.now()
    }

    /// Refuses everything once a commit has failed, as an API server does that has lost its database: what is in
    /// memory may not be what is on the disk.
    pub(crate) fn usable(&self) -> Result<()> {
        self.store.failure().map_or(Ok(()), |cause| Err(StatusError::internal(cause)))
    }

    pub(crate) fn get(&self, kind: &Kind, name: &ObjectName) -> Result<Arc<Object>> {
        self.store.get(&kind.resource, name).ok_or_else(|| StatusError::not_found(kind, &name.name))
    }

    pub(crate) async fn commit(&self, kind: &Kind, write: Write) -> Result<Arc<Object>, Refused> {
        let name = write.name.name.clone();
        self.store.commit(write).await.map_err(|error| Refused {
            raced: error == WriteError::Changed,
            status: explain(kind, &name, error),
        })
    }
}

/// A write that did not happen; `raced` means that a retry on the newest version may succeed.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) raced: bool,
    pub(crate) status: StatusError,
}

impl From<StatusError> for Refused {
    fn from(status: StatusError) -> Self {
        Self { raced: false, status }
    }
}

fn explain(kind: &Kind, name: &str, error: WriteError) -> StatusError {
    match error {
        WriteError::Exists => StatusError::already_exists(kind, name),
        WriteError::Missing => StatusError::not_found(kind, name),
        WriteError::Changed => StatusError::conflict(kind, name),
        WriteError::TooLarge => StatusError::object_too_large(),
        WriteError::Storage(cause) => StatusError::internal(cause),
        WriteError::Closed => StatusError::unavailable("the API is shutting down"),
    }
}
