//! What is true of a file now: the object, read when something is to be done, because texts are not kept.

use crds::{ConditionStatus, FilePhase, SandboxFile, conditions::condition, sandbox_file::CONDITION_EXPIRED};
use kube::Api;

use super::decide::Observed;
use crate::{context::Context, key::Key};

/// Whether anything is to be done now, told from memory: nearly always nothing is.
pub(crate) fn idle_until(context: &Context, key: &Key) -> Option<Option<chrono::DateTime<chrono::Utc>>> {
    let facts = context.files.get(key)?;
    let now = context.clock.now();
    let quiet = facts.phase == FilePhase::Ready
        && !facts.registered_again
        && facts.expires_at.is_none_or(|end| now < end);
    quiet.then_some(facts.expires_at)
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
        expires_at: file.spec.expires_at,
        expired_at: ended.filter(|c| c.status == ConditionStatus::True).map(|c| c.last_transition_time),
        registered_again: status.observed_registration != file.spec.registration,
        deleting: file.metadata.deletion_timestamp.is_some(),
    }
}
