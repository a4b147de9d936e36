//! Asks each executor once what it holds. From its answer on it refuses earlier leaders and may be given out.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use crds::limits;
use protocol::{ErrorCode, Inventory};
use tokio::time::sleep;

use super::{
    cache::{Answer, PodEntry},
    facts::Life,
    trouble::{Reason, Trouble},
};
use crate::{context::Context, executor_client::CallError};

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// A clock that is off may be set right, so such a pod is asked again.
const TROUBLE_RETRY: Duration = Duration::from_secs(10);

/// Starts asking a pod that has an address, unless it was asked already. A pod that is being started is asked once
/// it is ready; one that an earlier leader left is asked as soon as it runs.
pub(crate) fn ask_when_due(context: &Arc<Context>, entry: &Arc<PodEntry>) {
    let facts = entry.facts();
    if facts.life != Life::Running || facts.ip.is_none() || !entry.start_asking() {
        return;
    }
    let (task, pod) = (Arc::clone(context), Arc::clone(entry));
    context.supervisor.spawn(async move { ask(task, pod).await });
}

async fn ask(context: Arc<Context>, entry: Arc<PodEntry>) {
    let mut wait = FIRST_RETRY;
    loop {
        match once(&context, &entry).await {
            Ok(answer) => {
                super::answered(&context, &entry, &answer);
                if answer.trouble.is_none() {
                    return;
                }
                wait = TROUBLE_RETRY;
            }
            Err(error) => {
                tracing::debug!(pod = %entry.facts().key, %error, "the executor gave no inventory yet");
            }
        }
        tokio::select! {
            () = entry.gone.cancelled() => return,
            () = sleep(wait) => wait = (wait * 2).min(LAST_RETRY),
        }
    }
}

async fn once(context: &Context, entry: &PodEntry) -> Result<Answer, CallError> {
    let Some(target) = entry.target() else {
        return Err(CallError::Malformed("the pod has no address".to_owned()));
    };
    let before = context.clock.now();
    match context.executor.inventory(&target).await {
        Ok(inventory) if inventory.pod_uid != *target.pod_uid => {
            Err(CallError::Malformed("another pod answers at this address".to_owned()))
        }
        Ok(inventory) => Ok(judge(&inventory, before, context.clock.now())),
        Err(CallError::Refused(body)) if body.code == ErrorCode::OldEpoch => {
            if !context.term.outbid(body.epoch) {
                tracing::warn!(
                    pod = %entry.facts().key,
                    epoch = body.epoch,
                    ours = context.term.epoch(),
                    "a pod names an epoch that no operator can have reached; it is not believed"
                );
            }
            Err(CallError::Refused(body))
        }
        Err(error) => Err(error),
    }
}

/// What an inventory means for the use of the pod.
fn judge(inventory: &Inventory, before: DateTime<Utc>, after: DateTime<Utc>) -> Answer {
    let theirs = inventory.clock_unix_milliseconds;
    // The executor looked at its clock somewhere between, so only what lies outside is certainly wrong.
    let skew = (before.timestamp_millis() - theirs).max(theirs - after.timestamp_millis()).max(0);
    let trouble = if inventory.protocol_version != protocol::PROTOCOL_VERSION {
        let message = format!("the executor speaks version {}", inventory.protocol_version);
        Some(Trouble::new(Reason::ProtocolVersion, &message, None))
    } else if skew > limits::CLOCK_SKEW_MILLISECONDS {
        let message = format!("the clock of the pod's node is off by {skew} ms");
        Some(Trouble::new(Reason::ClockSkew, &message, None))
    } else {
        None
    };
    let unused = inventory.vacant && inventory.used == 0 && inventory.runs.is_empty();
    let only_one = inventory.runs.len() == 1 && inventory.used <= 1;
    Answer {
        usable: unused && !inventory.draining && trouble.is_none(),
        all: unused || only_one,
        trouble,
        holds: inventory.runs.iter().map(|run| run.uid.as_str().into()).collect(),
        isolation: inventory.isolation.clone(),
    }
}

#[cfg(test)]
mod tests {
    use protocol::{HeldRun, RunState};

    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(milliseconds).unwrap()
    }

    fn inventory() -> Inventory {
        Inventory {
            protocol_version: protocol::PROTOCOL_VERSION,
            pod_uid: "p".to_owned(),
            epoch: 1,
            draining: false,
            vacant: true,
            used: 0,
            clock_unix_milliseconds: 10_000,
            isolation: Vec::new(),
            runs: Vec::new(),
        }
    }

    #[test]
    fn an_executor_is_usable_when_it_is_vacant_stays_and_has_the_right_time() {
        let usable = |inventory: Inventory, now| judge(&inventory, at(now), at(now)).usable;
        assert!(usable(inventory(), 10_000));
        assert!(usable(inventory(), 11_000) && usable(inventory(), 9_000));
        assert!(!usable(inventory(), 11_001) && !usable(inventory(), 8_999));
        assert!(!usable(Inventory { vacant: false, ..inventory() }, 10_000));
        assert!(!usable(Inventory { used: 1, ..inventory() }, 10_000));
        assert!(!usable(Inventory { draining: true, ..inventory() }, 10_000));
        assert!(!usable(Inventory { protocol_version: 0, ..inventory() }, 10_000));
    }

    #[test]
    fn what_an_executor_holds_is_all_it_accepted_only_when_it_was_never_used_again() {
        let held = |uid: &str| HeldRun { uid: uid.to_owned(), state: RunState::Running };
        for (vacant, used, runs, all) in [
            (true, 0, vec![], true),
            (false, 1, vec![held("a")], true),
            (false, 0, vec![held("a")], true), // one that does not count
            (false, 1, vec![], false),
            (false, 0, vec![], false),
            (false, 2, vec![held("b")], false),
            (true, 1, vec![], false),
        ] {
            let inventory = Inventory { vacant, used, runs, ..inventory() };
            assert_eq!(judge(&inventory, at(10_000), at(10_000)).all, all, "{inventory:?}");
        }
    }

    #[test]
    fn a_slow_answer_is_no_skew() {
        assert!(judge(&inventory(), at(7_000), at(13_000)).usable);
    }
}
