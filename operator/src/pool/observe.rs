//! What is true of a pool now, from the caches. No request is made.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use crds::code_execution::FailureCause;
use tokio::time::Instant;

use super::{
    cache::PodEntry,
    decide::{Class, Observed, PodView},
    facts::{Life, PodFacts, Trouble},
    validate::ValidPool,
};
use crate::{context::Context, key::Key, nodes::Standing, pool::reserve::Usage};

/// A pod that takes longer than this beyond its end is on a lost node.
const STUCK_AFTER_SECONDS: i64 = 10;

/// A pod that runs for so long without being ready and answering will not come up.
const COMES_UP_WITHIN: Duration = Duration::from_mins(2);

/// The pool with its pods, what it is used for, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) seen: Observed,
    pub(crate) usage: Usage,
    pub(crate) isolation: Vec<String>,
    /// Why fewer pods are up than wanted.
    pub(crate) trouble: Option<Trouble>,
    /// When pods may be made again.
    pub(crate) held_until: Option<Instant>,
}

/// Looks at a pool.
pub(crate) fn observe(context: &Context, key: &Key, pool: &ValidPool) -> Found {
    let (now, wall) = (Instant::now(), context.clock.now());
    let entries = context.pods.of_pool(key);
    let views: Vec<PodView> = entries.iter().map(|entry| view(context, pool, entry, wall, now)).collect();
    let names: HashSet<&str> = views.iter().map(|view| &*view.key.name).collect();
    let (coming, refused) =
        context.pools.with(key, |memory| (memory.expected.coming(&names, now), memory.refused.clone()));
    let usage = context.reserve.lock().usage(key);
    let held_until = refused.as_ref().map(|(_, until)| *until).filter(|until| *until > now);
    let trouble = refused.map(|(trouble, _)| trouble).or_else(|| pod_trouble(&entries));
    let unable = trouble.clone().filter(|t| usage.busy + usage.idle == 0 && hopeless(t));
    context.pools.with(key, |memory| memory.unable = unable);
    let isolation = entries
        .iter()
        .filter_map(|entry| entry.answer())
        .map(|a| a.isolation.clone())
        .next()
        .unwrap_or_default();
    let seen = Observed { pods: views, coming, queued: usage.queued, held_back: held_until.is_some() };
    Found { seen, usage, isolation, trouble, held_until }
}

fn view(context: &Context, pool: &ValidPool, entry: &PodEntry, wall: DateTime<Utc>, now: Instant) -> PodView {
    let facts = entry.facts();
    let expected = context.pools.with(&facts.pool, |memory| memory.expected.is_leaving(&facts.uid, now));
    let (busy, idle) = {
        let reserve = context.reserve.lock();
        (reserve.is_busy(&facts.pool, &facts.uid), reserve.is_idle(&facts.pool, &facts.uid))
    };
    let standing = context.nodes.standing(&facts);
    let class = match leaving(&facts, standing, wall) {
        Some(_) if entry.is_spent() && !expected && dawdles(context, &facts, wall) => Class::Spent,
        Some(class) => class,
        None if expected => Class::Leaving,
        None if facts.life == Life::Dead => Class::Dead,
        None if entry.is_spent() => Class::Spent,
        None if busy => Class::Busy,
        None if idle => Class::Idle,
        None if entry.answer().is_some_and(|answer| !answer.holds.is_empty()) => Class::Busy,
        None => not_up(context, &facts.uid, entry, now).0,
    };
    let age = wall.signed_duration_since(facts.created).num_seconds();
    PodView {
        key: facts.key.clone(),
        uid: facts.uid.clone(),
        class,
        outdated: age > pool.max_age_seconds
            || facts.template.as_deref() != Some(&pool.template)
            || standing != Standing::Good,
        created: facts.created.timestamp_millis(),
    }
}

/// What a pod is that is of no use yet, and when it is something else even if nothing happens.
fn not_up(context: &Context, uid: &str, entry: &PodEntry, now: Instant) -> (Class, Option<Instant>) {
    let lost_at = {
        let takeover = context.takeover.lock();
        takeover.is_silent(uid).then(|| takeover.lost_at())
    };
    patience(lost_at, entry.coming_up(), now)
}

/// A silent pod is lost in the end, one that comes up is given up.
fn patience(lost_at: Option<Instant>, coming_up: Option<Instant>, now: Instant) -> (Class, Option<Instant>) {
    let (until, before, after) = match (lost_at, coming_up) {
        (Some(lost_at), _) => (lost_at, Class::Unknown, Class::Lost),
        (None, Some(since)) => (since + COMES_UP_WITHIN, Class::Warming, Class::Stalled),
        (None, None) => return (Class::Warming, None),
    };
    if now < until { (before, Some(until)) } else { (after, None) }
}

/// When patience with a pod ends.
pub(crate) fn next_patience(context: &Context, key: &Key) -> Option<Duration> {
    let now = Instant::now();
    let ends = |entry: std::sync::Arc<PodEntry>| not_up(context, &entry.facts().uid, &entry, now).1;
    let next = context.pods.of_pool(key).into_iter().filter_map(ends).min()?;
    Some(next.saturating_duration_since(now))
}

fn leaving(facts: &PodFacts, standing: Standing, wall: DateTime<Utc>) -> Option<Class> {
    let end = facts.deleting?;
    let late = wall.signed_duration_since(end).num_seconds() > STUCK_AFTER_SECONDS;
    // From a lost node nobody says that a pod has gone, and its grace may be a day.
    Some(if late || standing == Standing::Lost { Class::Stuck } else { Class::Leaving })
}

/// Whether a pod was told by somebody else to go and has as long for it as a program may need. One that has no program
/// any more is told to be quicker.
fn dawdles(context: &Context, facts: &PodFacts, wall: DateTime<Utc>) -> bool {
    let quick = context.config.timings.pod_grace + Duration::from_secs(STUCK_AFTER_SECONDS.unsigned_abs());
    let left = |end: DateTime<Utc>| end.signed_duration_since(wall).to_std().unwrap_or_default();
    facts.deleting.is_some_and(|end| left(end) > quick)
}

fn pod_trouble(entries: &[std::sync::Arc<PodEntry>]) -> Option<Trouble> {
    let of_pod = entries.iter().find_map(|entry| entry.facts().trouble.clone());
    of_pod.or_else(|| entries.iter().find_map(|entry| entry.answer().and_then(|a| a.trouble.clone())))
}

/// It does not pass by itself. Room on a node may come at any time.
fn hopeless(trouble: &Trouble) -> bool {
    matches!(trouble.cause, Some(FailureCause::QuotaExceeded | FailureCause::CannotStart))
}

/// When the next idle pod becomes too old.
pub(crate) fn next_aging(context: &Context, key: &Key, pool: &ValidPool) -> Option<Duration> {
    let wall = context.clock.now();
    let oldest = context.pods.of_pool(key).iter().map(|entry| entry.facts().created).min()?;
    let left = pool.max_age_seconds - wall.signed_duration_since(oldest).num_seconds();
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0).max(1) + 1))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deleted_pod_takes_up_room_until_it_is_late_or_its_node_is_lost() {
        let end = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let pod = json!({ "metadata": {
            "namespace": "ns", "name": "p", "uid": "u", "labels": { crds::labels::POOL: "default" },
            "ownerReferences": [{
                "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "name": "default", "uid": "x",
                "controller": true,
            }],
            "deletionTimestamp": end.to_rfc3339(),
        }});
        let deleted = PodFacts::of(&serde_json::from_value(pod).unwrap()).unwrap();
        let (before, after) = (end - TimeDelta::hours(20), end + TimeDelta::minutes(1));
        for (standing, wall, class) in [
            (Standing::Good, before, Class::Leaving),
            (Standing::Leaving, before, Class::Leaving),
            (Standing::Lost, before, Class::Stuck),
            (Standing::Good, after, Class::Stuck),
        ] {
            assert_eq!(leaving(&deleted, standing, wall), Some(class), "{standing:?} {wall}");
        }
        let stays = PodFacts { deleting: None, ..deleted };
        assert_eq!(leaving(&stays, Standing::Lost, before), None);
    }

    #[test]
    fn patience_with_a_pod_that_is_of_no_use_ends() {
        let start = Instant::now();
        let (lost, given_up) = (start + Duration::from_mins(1), start + COMES_UP_WITHIN);
        for (lost_at, coming_up, now, class, next) in [
            (None, None, given_up, Class::Warming, None),
            (None, Some(start), start, Class::Warming, Some(given_up)),
            (None, Some(start), given_up, Class::Stalled, None),
            (Some(lost), Some(start), start, Class::Unknown, Some(lost)),
            (Some(lost), Some(start), lost, Class::Lost, None),
        ] {
            assert_eq!(patience(lost_at, coming_up, now), (class, next), "{lost_at:?} {coming_up:?}");
        }
    }
}
