//! What is true of a pool now, from the caches. No request is made.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{
    cache::PodEntry,
    decide::{Class, Observed, PodView},
    facts::{Life, PodFacts},
    trouble::{Reason, Trouble},
    validate::ValidPool,
};
use crate::{context::Context, key::Key, nodes::Standing, pool::reserve::Usage};

/// A pod that takes longer than this beyond its end is on a lost node.
const STUCK_AFTER_SECONDS: i64 = 10;

/// A pod that runs for so long without being ready and answering will not come up.
const COMES_UP_WITHIN: Duration = Duration::from_mins(2);

/// A pool that cannot make pods gives executions those that become free. After so long without one they need not wait.
const STARVED_AFTER: Duration = Duration::from_secs(5);

/// The pool with its pods, what it is used for, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) seen: Observed,
    pub(crate) usage: Usage,
    pub(crate) isolation: Vec<String>,
    /// Why fewer pods are up than wanted.
    pub(crate) trouble: Option<Trouble>,
    /// Why an execution with a start deadline need not wait.
    pub(crate) unable: Option<Trouble>,
    /// When pods may be made again.
    pub(crate) held_until: Option<Instant>,
    /// When there will be no use in waiting.
    pub(crate) starved_at: Option<Instant>,
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
    let trouble = refused.map(|(trouble, _)| trouble).or_else(|| pod_trouble(context, &entries));
    let comes = |(entry, view): (&Arc<PodEntry>, &PodView)| {
        view.class == Class::Warming && entry.facts().trouble.is_none()
    };
    let comes_up = coming > 0 || entries.iter().zip(&views).any(comes);
    let starves = |trouble: &&Trouble| usage.idle == 0 && trouble.starves(comes_up);
    // Kept pods make room for others, as those do whose programs end.
    let occupied = usage.busy + usage.kept;
    let (unable, starved_at) = starvation(context, key, trouble.as_ref().filter(starves), occupied, now);
    let isolation = entries
        .iter()
        .filter_map(|entry| entry.answer())
        .map(|a| a.isolation.clone())
        .next()
        .unwrap_or_default();
    let held_back = held_until.is_some();
    let no_room = held_back && trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::Quota);
    let seen = Observed { pods: views, coming, queued: usage.queued, held_back, no_room };
    Found { seen, usage, isolation, trouble, unable, held_until, starved_at }
}

fn view(context: &Context, pool: &ValidPool, entry: &PodEntry, wall: DateTime<Utc>, now: Instant) -> PodView {
    let facts = entry.facts();
    let expected = context.pools.with(&facts.pool, |memory| memory.expected.is_leaving(&facts.uid, now));
    let (busy, idle, kept) = {
        let reserve = context.reserve.lock();
        let (of, uid) = (&facts.pool, &facts.uid);
        (reserve.holder(of, uid).is_some(), reserve.is_idle(of, uid), reserve.kept_since(of, uid))
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
        None if kept.is_some() => Class::Kept,
        None if entry.answer().is_some_and(|answer| !answer.holds.is_empty()) => Class::Busy,
        None => not_up(context, entry, now).0,
    };
    let unwanted = |since: Instant| !pool.reuse || now >= since + context.config.timings.kept;
    PodView {
        key: facts.key.clone(),
        uid: facts.uid.clone(),
        class,
        outdated: is_outdated(pool, &facts, standing, wall) || kept.is_some_and(unwanted),
        created: facts.created.timestamp_millis(),
    }
}

/// The pods of a pool whose spec is wrong that have run programs, and have none now.
pub(crate) fn used(context: &Context, key: &Key) -> Vec<PodView> {
    let now = Instant::now();
    let view = |entry: Arc<PodEntry>| {
        let facts = entry.facts();
        let kept = context.reserve.lock().kept_since(key, &facts.uid).is_some();
        let goes = facts.deleting.is_some()
            || context.pools.with(key, |memory| memory.expected.is_leaving(&facts.uid, now));
        let class = if kept { Class::Kept } else { Class::Spent };
        let (key, uid, created) = (facts.key.clone(), facts.uid.clone(), facts.created.timestamp_millis());
        ((kept || entry.is_spent()) && !goes).then_some(PodView { key, uid, class, outdated: true, created })
    };
    context.pods.of_pool(key).into_iter().filter_map(view).collect()
}

/// Whether the pool would not have this pod any more: it is too old, was made from another template, or must leave its
/// node.
pub(crate) fn is_outdated(
    pool: &ValidPool,
    facts: &PodFacts,
    standing: Standing,
    wall: DateTime<Utc>,
) -> bool {
    wall.signed_duration_since(facts.created).num_seconds() > pool.max_age_seconds
        || facts.template.as_deref() != Some(&pool.template)
        || standing != Standing::Good
}

/// What a pod is that is of no use yet, and when it is something else even if nothing happens.
fn not_up(context: &Context, entry: &PodEntry, now: Instant) -> (Class, Option<Instant>) {
    let facts = entry.facts();
    let lost_at = {
        let takeover = context.takeover.lock();
        takeover.is_silent(&facts.uid).then(|| takeover.lost_at())
    };
    // That it is not ready on a lost node says nothing of it. It is replaced for its node.
    let lost = context.nodes.standing(&facts) == Standing::Lost;
    patience(lost_at, entry.coming_up().filter(|_| !lost), now)
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
    let ends = |entry: Arc<PodEntry>| not_up(context, &entry, now).1;
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

/// Why executions need not wait any more, or when that will be so. `trouble` is why the pool can give them nothing.
fn starvation(
    context: &Context,
    key: &Key,
    trouble: Option<&Trouble>,
    busy: usize,
    now: Instant,
) -> (Option<Trouble>, Option<Instant>) {
    let at = context.pools.with(key, |memory| {
        memory.starving = trouble.map(|_| memory.starving.unwrap_or(now));
        memory.starving.map(|since| starved_at(since, memory.given, busy))
    });
    let over = at.is_some_and(|at| at <= now);
    (trouble.filter(|_| over).cloned(), at.filter(|_| !over))
}

/// When executions of a pool that cannot make pods need not wait any more. Programs that run give their pods' room up,
/// so as long as executions get pods now and then it is worth waiting.
fn starved_at(since: Instant, given: Option<Instant>, busy: usize) -> Instant {
    if busy == 0 { since } else { given.map_or(since, |given| given.max(since)) + STARVED_AFTER }
}

/// What is wrong with the pods that are to stay.
fn pod_trouble(context: &Context, entries: &[Arc<PodEntry>]) -> Option<Trouble> {
    let of = |entry: &Arc<PodEntry>| {
        let facts = entry.facts();
        let lost = context.nodes.standing(&facts) == Standing::Lost;
        let node = facts.node.as_deref().filter(|_| lost);
        let lost = node
            .map(|node| Trouble::new(Reason::NodeLost, &format!("the node {node} does not answer"), None));
        let told = facts.trouble.clone().or_else(|| entry.answer().and_then(|answer| answer.trouble.clone()));
        lost.into_iter().chain(told.filter(|_| facts.deleting.is_none()))
    };
    Trouble::first(entries.iter().flat_map(of))
}

/// When the next pod is to be kept no longer.
pub(crate) fn next_unkept(context: &Context, key: &Key) -> Option<Duration> {
    let since = context.reserve.lock().longest_kept(key)?;
    Some((since + context.config.timings.kept).saturating_duration_since(Instant::now()))
}

/// When the next idle pod becomes too old.
pub(crate) fn next_aging(context: &Context, key: &Key, pool: &ValidPool) -> Option<Duration> {
    let wall = context.clock.now();
    let oldest = context.pods.of_pool(key).iter().map(|entry| entry.facts().created).min()?;
    let left = pool.max_age_seconds - wall.signed_duration_since(oldest).num_seconds();
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0).max(1) + 1))
}

#[cfg(test)]
mod tests;
