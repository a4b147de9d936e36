//! Gives a sandbox whose program has ended to a further execution, in pools that allow it (`reusePolicy: SameKey`).
//!
//! Only to one of the same pool (and so namespace), the same scope and the same isolation key, and only when somebody
//! chose that key: who names no chat shares files with everybody who names none, and never a sandbox. Which execution
//! that is, `pool/reserve.rs` decides; that nothing is left of the one before, the executor proves.
//!
//! # Why nothing is started twice
//! Without reuse a pod accepts one execution, so what it lets go of cannot be confused with anything. With it this holds:
//! 1. **An acknowledgement follows the end.** An outcome is acknowledged when the status is terminal or the object is
//!    gone (`act.rs`, `leave.rs`), and a pod is reset only after that. So an execution that may still have to be started
//!    was never let go of by any pod: each pod that accepted it still names it, or is dead and its last words name it,
//!    for they name what it accepted last.
//! 2. **The executor remembers.** It refuses every uid that it ever accepted, also in an executor that is started again
//!    in its place, and never frees its slot while it holds an outcome.
//! 3. **A reset is of one run.** It names the run, the pod and the epoch. Late or repeated, or from an earlier leader, it
//!    changes nothing for a later run.
//! 4. **Only the leader that had it reset gives it out.** To the next one it is a used pod: its inventory is not vacant,
//!    so it is deleted. And from a used pod's silence about an execution nothing is concluded (`leader/takeover.rs`).
//! 5. **In memory a pod is in one place.** It goes from busy to kept and back under one lock, and never becomes idle
//!    again; when in doubt it is thrown away.

use std::sync::Arc;

use crds::{Reason, SandboxPool, code_execution::SHARED_KEY};

use super::{leave, runs::Run, status::Ending, validate::Plan};
use crate::{
    clock::Instant,
    context::Context,
    executor_client::CallError,
    key::Key,
    pool::{
        self,
        cache::PodEntry,
        observe::is_outdated,
        reserve::{Kept, ReuseKey},
        validate,
    },
};

/// Whose sandbox an execution may have after another, or leave to another; nobody's in most pools.
pub(crate) fn key(pool: &SandboxPool, plan: &Plan) -> Option<ReuseKey> {
    let chosen = plan.isolation_key.as_deref().filter(|key| *key != SHARED_KEY)?;
    let reuses = validate::reuses(pool).unwrap_or(false);
    reuses.then(|| ReuseKey { scope: plan.scope.clone(), isolation_key: chosen.into() })
}

/// As [`key`], with the pool as it is now.
pub(super) fn key_now(context: &Context, plan: &Plan) -> Option<ReuseKey> {
    let pool = context.pools.get(&plan.pool)?;
    key(&pool, plan)
}

/// Whether a run ended in a way that says nothing against its sandbox. One that had no memory or disk left, or did not
/// start the program, may be the reason for it.
fn leaves_a_good_sandbox(ending: &Ending) -> bool {
    let ended_itself = matches!(
        ending.reason,
        Reason::Completed | Reason::NonZeroExit | Reason::Signalled | Reason::TimedOut | Reason::Cancelled
    );
    // Without an outcome nobody knows how the executor is.
    ended_itself && ending.collected.is_some()
}

/// The execution has its terminal status. Its executor forgets it, and its pod is kept for others of its key if it can
/// be; otherwise it goes.
pub(super) fn pass_on(context: &Arc<Context>, plan: &Plan, run: &Run, ending: &Ending) {
    // Whether the pod still fits its pool is looked at once, in the end.
    let key = key_now(context, plan).filter(|_| leaves_a_good_sandbox(ending) && run.pod.usable());
    let Some(key) = key else { return leave::throw_away(context, &run.pod, &run.uid) };
    let (task, pod, uid, of) =
        (Arc::clone(context), Arc::clone(&run.pod), Arc::clone(&run.uid), plan.pool.clone());
    context.supervisor.spawn(async move {
        match cleared(&task, &pod, &uid).await {
            Ok(()) => keep(&task, &of, &pod, &uid, &key),
            Err(error) => {
                tracing::info!(pod = %pod.facts().key, %uid, %error, "a sandbox cannot be used again; it goes");
                pool::spend(&task, &pod);
            }
        }
    });
}

/// Whether the pod may stay for another execution. One that is too old, or of another shape than the pool's pods have by
/// now, goes: otherwise a key with executions without end would keep it from being replaced.
fn fits(context: &Context, of: &Key, pod: &PodEntry) -> bool {
    let Some(pool) = context.pools.get(of) else { return false };
    let Ok(pool) = validate::validate(&pool, &context.pod_defaults) else { return false };
    let (facts, now) = (pod.facts(), context.clock.now());
    let outdated = is_outdated(&pool, &facts, context.nodes.standing(&facts), now);
    pool.reuse && !pool.deleting && !outdated && pod.usable()
}

/// Lets the executor forget the outcome, and has it prove that nothing else is left either.
async fn cleared(context: &Context, pod: &PodEntry, uid: &str) -> Result<(), CallError> {
    let target = pod.target().ok_or_else(|| CallError::Malformed("the pod has no address".to_owned()))?;
    context.executor.acknowledge(&target, uid).await?;
    context.executor.reset(&target, uid).await
}

fn keep(context: &Arc<Context>, of: &Key, pod: &Arc<PodEntry>, uid: &str, key: &ReuseKey) {
    let fits = fits(context, of, pod);
    let kept = {
        let mut reserve = context.reserve.lock();
        // Looked at under the lock, so that a pod that becomes unusable is taken out before or after.
        if fits && pod.usable() {
            reserve.keep(of, &pod.facts().uid, uid, key, Instant::now())
        } else {
            Kept::Unwanted
        }
    };
    match kept {
        Kept::Waits => {}
        Kept::Given(ticket) => context.execution_queue.push(ticket.key),
        Kept::Unwanted => return pool::spend(context, pod),
    }
    context.pool_queue.push(of.clone());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::code_execution::{
        status::{Collected, failure},
        validate,
    };

    fn plan(spec: &Value) -> Plan {
        let object = json!({ "metadata": { "name": "e", "namespace": "ns", "uid": "u" }, "spec": spec });
        validate::validate(&serde_json::from_value(object).unwrap()).unwrap().0
    }

    fn pool(policy: &str) -> SandboxPool {
        SandboxPool::new("default", serde_json::from_value(json!({ "reusePolicy": policy })).unwrap())
    }

    #[test]
    fn only_a_key_that_was_chosen_is_a_key_and_only_where_the_pool_reuses() {
        let of = |policy, spec| key(&pool(policy), &plan(&spec)).map(|key| key.isolation_key.to_string());
        let chosen = json!({ "code": "1", "isolationKey": "c1" });
        assert_eq!(of("SameKey", chosen.clone()).as_deref(), Some("c1"));
        assert_eq!(of("Never", chosen.clone()), None);
        assert_eq!(of("Verified", chosen), None, "not in this version");
        assert_eq!(of("SameKey", json!({ "code": "1" })), None, "no key");
        assert_eq!(of("SameKey", json!({ "code": "1", "isolationKey": "default" })), None, "nobody's chat");
    }

    #[test]
    fn the_same_key_in_another_scope_is_another_key() {
        let of = |scope: Option<&str>| {
            key(&pool("SameKey"), &plan(&json!({ "code": "1", "isolationKey": "c1", "scope": scope })))
        };
        assert_eq!(of(Some("alice")), of(Some("alice")));
        assert_ne!(of(Some("alice")), of(Some("bob")));
        assert_ne!(of(Some("alice")), of(None));
    }

    #[test]
    fn a_sandbox_that_may_be_the_reason_of_the_end_is_not_used_again() {
        let ending = |reason, collected| Ending {
            collected,
            failure: None,
            ..Ending::without_run(reason, failure(None, "x"))
        };
        let after = |reason| leaves_a_good_sandbox(&ending(reason, Some(Collected::default())));
        assert!(after(Reason::Completed) && after(Reason::NonZeroExit) && after(Reason::TimedOut));
        for reason in [Reason::OutOfMemory, Reason::DiskFull, Reason::Lost, Reason::CapacityUnavailable] {
            assert!(!after(reason), "{reason:?}");
        }
        assert!(!leaves_a_good_sandbox(&ending(Reason::Completed, None)), "nobody knows how its executor is");
    }
}
