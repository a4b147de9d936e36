//! What is true of a file now: the object, read when something is to be done, because texts are not kept.

use chrono::{DateTime, Utc};
use crds::{ConditionStatus, FilePhase, SandboxFile, conditions::condition, sandbox_file::CONDITION_EXPIRED};
use kube::Api;

use super::{
    cache::{self, FileFacts},
    decide::Observed,
};
use crate::{context::Context, key::Key};

/// Whether nothing is to be done now, told from memory, which is nearly always so.
pub(crate) fn is_quiet(facts: &FileFacts, now: DateTime<Utc>) -> bool {
    facts.phase == FilePhase::Ready && !facts.registered_again && facts.end.is_none_or(|end| now < end)
}

/// Reads a file; `None` when it is gone.
pub(crate) async fn observe(
    context: &Context,
    key: &Key,
) -> Result<Option<(SandboxFile, Observed)>, kube::Error> {
    let api: Api<SandboxFile> = Api::namespaced(context.client.clone(), &key.namespace);
    let Some(file) = api.get_opt(&key.name).await? else { return Ok(None) };
    let observed = of(&file);
    Ok(Some((file, observed)))
}

fn of(file: &SandboxFile) -> Observed {
    let status = file.status.clone().unwrap_or_default();
    let ended = condition(&status.conditions, CONDITION_EXPIRED);
    Observed {
        phase: status.phase,
        end: cache::end(file),
        expired_at: ended.filter(|c| c.status == ConditionStatus::True).map(|c| c.last_transition_time),
        registered_again: status.observed_registration != file.spec.registration,
        deleting: file.metadata.deletion_timestamp.is_some(),
    }
}
