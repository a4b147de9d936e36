//! Create, read and cancel executions in the API. A create that was retried may find its own object:
//! the name was chosen by us, so that object is ours. Cancelling until it has worked is `cancels.rs`.

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

/// For one request to the API; without it a lost connection would hold a slot for minutes.
const ATTEMPT: Duration = Duration::from_secs(10);

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

/// The executions of a tenant.
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
    ) -> Result<CodeExecution, CreateError> {
        let mut object = CodeExecution::new(name, spec);
        let metadata = &mut object.metadata;
        metadata.labels = Some([(labels::REPLICA.to_owned(), self.replica.clone())].into());
        metadata.annotations = Some(origin.annotations());
        let mut pauses = PAUSES.into_iter();
        let mut may_exist = false;
        loop {
            let error = match in_time(self.api.create(&PostParams::default(), &object)).await {
                Ok(created) => return Ok(created),
                Err(error) => error,
            };
            let fate = fate(&error, may_exist);
            may_exist |= matches!(fate, Fate::Mine | Fate::Unknown);
            let pause = if matches!(fate, Fate::Again | Fate::Unknown) { pauses.next() } else { None };
            let Some(pause) = pause else {
                return if may_exist { self.look_up(name, error).await } else { Err(self.refused(error)) };
            };
            tracing::warn!(%error, "creating an execution failed, trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// What became of a create that may have succeeded: the name is ours, so an object of that name is, too.
    async fn look_up(&self, name: &str, error: AttemptError) -> Result<CodeExecution, CreateError> {
        match self.get(name).await {
            Ok(Some(object)) => Ok(object),
            // Not there yet is not the same as never.
            Ok(None) | Err(_) => Err(CreateError::Unknown(error)),
        }
    }

    /// Reads one; nothing when it is gone.
    pub async fn get(&self, name: &str) -> Result<Option<CodeExecution>, AttemptError> {
        in_time(self.api.get_opt(name)).await
    }

    /// Asks for the end of one, once.
    pub async fn cancel(&self, name: &str) -> Result<Cancelled, AttemptError> {
        let patch = Patch::Merge(json!({"spec": {"cancel": true}}));
        match in_time(self.api.patch(name, &PatchParams::default(), &patch)).await {
            Ok(_) => Ok(Cancelled::Asked),
            Err(AttemptError::Api(Error::Api(status))) if status.code == 404 => Ok(Cancelled::NotFound),
            Err(error) => Err(error),
        }
    }

    fn refused(&self, error: AttemptError) -> CreateError {
        if is_quota(&error) {
            let retry_after_seconds = self.capacity_retry_after_seconds;
            return CreateError::Refused(ShimError::NoRoom { room: NoRoom::Quota, retry_after_seconds });
        }
        CreateError::Refused(ShimError::internal("creating an execution", error))
    }
}

/// Why there is no object to wait for.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The API does not take it: there is none.
    #[error(transparent)]
    Refused(ShimError),
    /// The API's answers were lost: there may be one.
    #[error("nobody knows whether the execution was created")]
    Unknown(#[source] AttemptError),
}

/// What became of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// The object says so now, or has ended.
    Asked,
    /// There is no such object.
    NotFound,
}

/// Why one request to the API failed.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// It was refused or the connection failed.
    #[error(transparent)]
    Api(#[from] Error),
    /// Nothing came back.
    #[error("the API did not answer in time")]
    Timeout,
}

async fn in_time<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, AttemptError> {
    let answer = tokio::time::timeout(ATTEMPT, request).await.map_err(|_| AttemptError::Timeout)?;
    answer.map_err(AttemptError::Api)
}

/// What to do about a failed create.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It was created by an earlier attempt.
    Mine,
    /// It was not carried out, and may succeed when tried again.
    Again,
    /// Whether it was carried out is unknown; trying again does no harm.
    Unknown,
    /// It will not succeed.
    Final,
}

fn fate(error: &AttemptError, may_exist: bool) -> Fate {
    match error {
        AttemptError::Api(Error::Api(status)) => match status.code {
            409 if may_exist => Fate::Mine,
            429 => Fate::Again,
            500 | 502 | 503 | 504 => Fate::Unknown,
            _ => Fate::Final,
        },
        AttemptError::Api(Error::HyperError(_) | Error::Service(_)) | AttemptError::Timeout => Fate::Unknown,
        AttemptError::Api(_) => Fate::Final,
    }
}

/// Only this is a capacity error; any other refusal is ours (contract, section 2.8).
fn is_quota(error: &AttemptError) -> bool {
    matches!(error, AttemptError::Api(Error::Api(status)) if status.code == 403 && status.message.contains("exceeded quota"))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn api_error(code: u16, message: &str) -> AttemptError {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        AttemptError::Api(Error::Api(Box::new(status)))
    }

    #[test]
    fn an_object_that_exists_is_mine_only_when_an_earlier_attempt_may_have_made_it() {
        assert_eq!(fate(&api_error(409, "already exists"), true), Fate::Mine);
        assert_eq!(fate(&api_error(409, "already exists"), false), Fate::Final);
    }

    #[test]
    fn what_may_have_been_carried_out_is_told_from_what_was_not() {
        assert_eq!(fate(&api_error(429, ""), false), Fate::Again);
        for code in [500, 502, 503, 504] {
            assert_eq!(fate(&api_error(code, ""), false), Fate::Unknown);
        }
        assert_eq!(fate(&AttemptError::Timeout, false), Fate::Unknown);
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
