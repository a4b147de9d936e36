//! Create, read and cancel executions in the API. A create that was retried may find its own object:
//! the name was chosen by us, so that object is ours.

use std::{collections::BTreeMap, time::Duration};

use crds::{CodeExecution, CodeExecutionSpec, labels};
use kube::{
    Api, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{error::ShimError, reasons::NoRoom};

/// Pauses before the second and the further attempts of a create.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

/// Which request an execution comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Finds its log lines.
    pub request_id: String,
    /// Its W3C trace context, when it sent one.
    pub trace_parent: Option<String>,
}

impl Origin {
    fn annotations(&self) -> BTreeMap<String, String> {
        let request_id = Some((labels::REQUEST_ID, self.request_id.clone()));
        let trace_parent = self.trace_parent.clone().map(|context| (labels::TRACE_PARENT, context));
        [request_id, trace_parent].into_iter().flatten().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// The executions of the tenant.
#[derive(Debug, Clone)]
pub struct Executions {
    api: Api<CodeExecution>,
    replica: String,
    capacity_retry_after_seconds: u64,
}

impl Executions {
    /// With the replica that marks what it creates.
    #[must_use]
    pub fn new(api: Api<CodeExecution>, replica: String, capacity_retry_after_seconds: u64) -> Self {
        Self { api, replica, capacity_retry_after_seconds }
    }

    /// Creates one under a name that nobody else uses.
    pub async fn create(
        &self,
        name: &str,
        spec: CodeExecutionSpec,
        origin: &Origin,
    ) -> Result<CodeExecution, ShimError> {
        let mut object = CodeExecution::new(name, spec);
        let metadata = &mut object.metadata;
        metadata.labels = Some([(labels::REPLICA.to_owned(), self.replica.clone())].into());
        metadata.annotations = Some(origin.annotations());
        let mut pauses = PAUSES.into_iter();
        let mut retried = false;
        loop {
            let error = match self.api.create(&PostParams::default(), &object).await {
                Ok(created) => return Ok(created),
                Err(error) => error,
            };
            match fate(&error, retried) {
                Fate::Mine => return self.api.get(name).await.map_err(|error| self.refused(error)),
                Fate::Final => return Err(self.refused(error)),
                Fate::Again => {
                    let Some(pause) = pauses.next() else { return Err(self.refused(error)) };
                    tracing::warn!(%error, "creating an execution failed, trying again");
                    tokio::time::sleep(pause).await;
                    retried = true;
                }
            }
        }
    }

    /// Reads one; nothing when it is gone.
    pub async fn get(&self, name: &str) -> Result<Option<CodeExecution>, Error> {
        self.api.get_opt(name).await
    }

    /// Ends one; one that is gone or has ended already is as good as ended.
    pub async fn cancel(&self, name: &str) {
        let patch = Patch::Merge(json!({"spec": {"cancel": true}}));
        match self.api.patch(name, &PatchParams::default(), &patch).await {
            Ok(_) => tracing::info!(execution = name, "cancelled"),
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => tracing::warn!(%error, execution = name, "an execution could not be cancelled"),
        }
    }

    fn refused(&self, error: Error) -> ShimError {
        if is_quota(&error) {
            let retry_after_seconds = self.capacity_retry_after_seconds;
            return ShimError::NoRoom { room: NoRoom::Quota, retry_after_seconds };
        }
        ShimError::internal("creating an execution", error)
    }
}

/// What to do about a failed create.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It was created by an earlier attempt.
    Mine,
    /// It may succeed when tried again.
    Again,
    /// It will not.
    Final,
}

fn fate(error: &Error, retried: bool) -> Fate {
    match error {
        Error::Api(status) if status.code == 409 && retried => Fate::Mine,
        Error::Api(status) if matches!(status.code, 429 | 500 | 502 | 503 | 504) => Fate::Again,
        Error::HyperError(_) | Error::Service(_) => Fate::Again,
        _ => Fate::Final,
    }
}

/// Only this is a capacity error; any other refusal is ours (contract, section 2.8).
fn is_quota(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403 && status.message.contains("exceeded quota"))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn api_error(code: u16, message: &str) -> Error {
        Error::Api(Box::new(Status { code, message: message.to_owned(), ..Status::default() }))
    }

    #[test]
    fn an_object_that_exists_after_a_retry_is_mine() {
        assert_eq!(fate(&api_error(409, "already exists"), true), Fate::Mine);
        assert_eq!(fate(&api_error(409, "already exists"), false), Fate::Final);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for code in [429, 500, 503] {
            assert_eq!(fate(&api_error(code, ""), false), Fate::Again);
        }
        for code in [400, 403, 404, 422] {
            assert_eq!(fate(&api_error(code, ""), true), Fate::Final);
        }
    }

    #[test]
    fn only_an_exceeded_quota_is_a_capacity_error() {
        assert!(is_quota(&api_error(403, "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1")));
        assert!(!is_quota(&api_error(403, "user cannot create resource")));
        assert!(!is_quota(&api_error(500, "exceeded quota")));
    }
}
