//! A pool's status from what was observed: pure. `None` when nothing changed.

use chrono::{DateTime, Utc};
use crds::{
    Condition, ConditionStatus, SandboxPoolStatus,
    conditions::{condition, set_condition},
    labels,
    sandbox_pool::{CONDITION_CRD_OUTDATED, CONDITION_DEGRADED, CONDITION_PROGRESSING, CONDITION_READY},
};

use super::{
    decide::{Class, Observed, Step},
    reserve::Usage,
    trouble::Trouble,
    validate::ValidPool,
};
use crate::definitions::OUTDATED;

/// A condition's message is cut there.
const MESSAGE_CHARACTERS: usize = 1024;

/// What the status is made from.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    pub(crate) name: &'a str,
    pub(crate) generation: Option<i64>,
    pub(crate) seen: &'a Observed,
    pub(crate) usage: Usage,
    pub(crate) isolation: &'a [String],
    pub(crate) trouble: Option<&'a Trouble>,
    pub(crate) step: &'a Step,
    /// What the definitions in the cluster lack.
    pub(crate) outdated: Option<&'a str>,
}

/// The new status, when it differs.
pub(crate) fn status(
    old: Option<&SandboxPoolStatus>,
    pool: &ValidPool,
    input: &Input<'_>,
    now: DateTime<Utc>,
) -> Option<SandboxPoolStatus> {
    let old_status = old.cloned().unwrap_or_default();
    let of = |class: Class| input.seen.pods.iter().filter(|p| p.class == class).count();
    let idle = of(Class::Idle) + of(Class::Warming) + of(Class::Unknown) + input.seen.coming;
    let isolation =
        if input.isolation.is_empty() { old_status.isolation.clone() } else { input.isolation.to_vec() };
    let mut new = SandboxPoolStatus {
        replicas: number(idle),
        ready_replicas: number(input.usage.idle),
        busy: number(input.usage.busy),
        queued: number(input.usage.queued),
        room: number((pool.queue_depth + input.usage.idle).saturating_sub(input.usage.queued)),
        selector: Some(labels::pool_selector(input.name)),
        isolation,
        conditions: old_status.conditions.clone(),
        observed_generation: input.generation,
    };
    for condition in conditions(pool, input, now) {
        set_condition(&mut new.conditions, condition);
    }
    show_definitions(&mut new, input.outdated, now);
    (old != Some(&new)).then_some(new)
}

/// The status of a pool that cannot be acted on.
pub(crate) fn invalid(
    old: Option<&SandboxPoolStatus>,
    generation: Option<i64>,
    trouble: &Trouble,
    outdated: Option<&str>,
    now: DateTime<Utc>,
) -> Option<SandboxPoolStatus> {
    let mut new = old.cloned().unwrap_or_default();
    new.observed_generation = generation;
    let build = |type_: &str, holds: bool| Condition {
        type_: type_.to_owned(),
        status: holds.into(),
        reason: trouble.reason.to_string(),
        message: trouble.message.clone(),
        last_transition_time: now,
        observed_generation: generation,
    };
    for condition in [build(CONDITION_READY, false), build(CONDITION_DEGRADED, true)] {
        set_condition(&mut new.conditions, condition);
    }
    show_definitions(&mut new, outdated, now);
    (old != Some(&new)).then_some(new)
}

/// Says that the definitions are outdated, or are so no more. Where they never were there is no such condition.
fn show_definitions(status: &mut SandboxPoolStatus, outdated: Option<&str>, now: DateTime<Utc>) {
    let shown = condition(&status.conditions, CONDITION_CRD_OUTDATED).is_some();
    if !shown && outdated.is_none() {
        return;
    }
    let new = Condition {
        type_: CONDITION_CRD_OUTDATED.to_owned(),
        status: outdated.is_some().into(),
        reason: if outdated.is_some() { OUTDATED } else { "UpToDate" }.to_owned(),
        message: outdated.unwrap_or_default().chars().take(MESSAGE_CHARACTERS).collect(),
        last_transition_time: now,
        observed_generation: status.observed_generation,
    };
    set_condition(&mut status.conditions, new);
}

fn conditions(pool: &ValidPool, input: &Input<'_>, now: DateTime<Utc>) -> [Condition; 3] {
    let build = |type_: &str, holds: bool, reason: &str, message: String| Condition {
        type_: type_.to_owned(),
        status: ConditionStatus::from(holds),
        reason: reason.to_owned(),
        message,
        last_transition_time: now,
        observed_generation: input.generation,
    };
    let wanted = pool.replicas.min(pool.max_pods.saturating_sub(input.usage.busy));
    let ready = input.usage.idle >= wanted;
    let progressing = input.step.create > 0 || !input.step.retire.is_empty() || !ready;
    let (reason, message) = match input.trouble {
        Some(trouble) => (trouble.reason.as_str(), trouble.message.clone()),
        None => ("AsWanted", String::new()),
    };
    [
        build(CONDITION_READY, ready, if ready { "PodsReady" } else { "PodsMissing" }, String::new()),
        build(
            CONDITION_PROGRESSING,
            progressing,
            if progressing { "Filling" } else { "Filled" },
            String::new(),
        ),
        build(CONDITION_DEGRADED, input.trouble.is_some(), reason, message),
    ]
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::{super::trouble::Reason, *};

    fn pool() -> ValidPool {
        ValidPool {
            replicas: 2,
            max_pods: 5,
            queue_depth: 10,
            max_age_seconds: 3600,
            reuse: false,
            pod: Pod::default(),
            template: String::new(),
            deleting: false,
        }
    }

    fn input<'a>(
        seen: &'a Observed,
        step: &'a Step,
        usage: Usage,
        trouble: Option<&'a Trouble>,
    ) -> Input<'a> {
        Input {
            name: "default",
            generation: Some(1),
            seen,
            usage,
            isolation: &[],
            trouble,
            step,
            outdated: None,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_same_state_gives_no_second_write() {
        let (seen, step) = (Observed::default(), Step::default());
        let input = input(&seen, &step, Usage { idle: 2, busy: 0, queued: 0, kept: 0 }, None);
        let first = status(None, &pool(), &input, at(1)).unwrap();
        assert_eq!(status(Some(&first), &pool(), &input, at(2)), None);
    }

    #[test]
    fn the_room_is_what_the_queue_and_the_idle_pods_take() {
        let (seen, step) = (Observed::default(), Step::default());
        let usage = Usage { idle: 2, busy: 1, queued: 3, kept: 0 };
        assert_eq!(status(None, &pool(), &input(&seen, &step, usage, None), at(1)).unwrap().room, 9);
    }

    #[test]
    fn outdated_definitions_show_until_they_are_mended_and_only_where_they_were() {
        let (seen, step) = (Observed::default(), Step::default());
        let usage = Usage { idle: 2, busy: 0, queued: 0, kept: 0 };
        let input = |outdated| Input { outdated, ..input(&seen, &step, usage, None) };
        let first = status(None, &pool(), &input(None), at(1)).unwrap();
        assert!(condition(&first.conditions, CONDITION_CRD_OUTDATED).is_none());
        let old = status(Some(&first), &pool(), &input(Some("x has no y")), at(2)).unwrap();
        let shown = condition(&old.conditions, CONDITION_CRD_OUTDATED).unwrap();
        assert_eq!((shown.status, shown.reason.as_str()), (ConditionStatus::True, "CRDOutdated"));
        assert_eq!(shown.message, "x has no y");
        let mended = status(Some(&old), &pool(), &input(None), at(3)).unwrap();
        let shown = condition(&mended.conditions, CONDITION_CRD_OUTDATED).unwrap();
        assert_eq!((shown.status, shown.reason.as_str()), (ConditionStatus::False, "UpToDate"));
        assert_eq!(status(Some(&mended), &pool(), &input(None), at(4)), None);
    }

    #[test]
    fn trouble_shows_as_degraded_with_its_reason() {
        let (seen, step) = (Observed::default(), Step::default());
        let trouble = Trouble::new(Reason::Quota, "exceeded quota", None);
        let input = input(&seen, &step, Usage::default(), Some(&trouble));
        let new = status(None, &pool(), &input, at(1)).unwrap();
        let degraded = condition(&new.conditions, CONDITION_DEGRADED).unwrap();
        assert_eq!((degraded.status, degraded.reason.as_str()), (ConditionStatus::True, "Quota"));
        assert_eq!(condition(&new.conditions, CONDITION_READY).unwrap().status, ConditionStatus::False);
    }
}
