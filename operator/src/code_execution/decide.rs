//! What to do next with an execution: pure. Every rule of its life is here and nowhere else.

use std::sync::Arc;

use crds::{
    ExecutionPhase, Reason,
    code_execution::{Failure, FailureCause},
};

use super::validate::Plan;
use crate::{clock::Instant, leader::takeover::Permission, pool::reserve::PodUid};

/// How far the input files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// It was not looked, because it does not matter now.
    NotAsked,
    /// All can be read.
    Ready,
    /// One is being stored; until then it is worth waiting.
    Coming(Instant),
    /// One cannot be had.
    Missing(Failure),
}

/// Where an execution stands with its pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has not asked for a pod.
    None,
    /// It waits in the queue.
    Waiting,
    /// It has that pod.
    Granted(PodUid),
}

/// What the pool can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PoolState {
    /// There is no such pool.
    Missing,
    /// It cannot make pods, and says why.
    Unable(String, Option<FailureCause>),
    /// It has pods or will have.
    Able,
}

/// How far the run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Run {
    /// There is none.
    None,
    /// It was sent to the pod at that time.
    Active { since: Instant, cancel_sent: bool },
    /// Something came of it.
    Ended,
    /// The pod certainly did not start it.
    NotStarted { attempts: u32, message: String },
    /// Something of ours failed before anything was sent to the pod.
    NeverSent,
}

/// What is true of an execution now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The phase that the API has.
    pub(crate) phase: ExecutionPhase,
    /// A start must be announced, because the API says or may say that it has not been started.
    pub(crate) announce: bool,
    /// The pod for which it was announced, by this leader.
    pub(crate) announced: Option<Arc<str>>,
    /// It asks for no pod before.
    pub(crate) not_before: Option<Instant>,
    /// `spec.cancel`, or the object is being deleted.
    pub(crate) cancel: bool,
    /// When this leader saw it first.
    pub(crate) seen: Instant,
    /// When it must have started.
    pub(crate) deadline: Option<Instant>,
    pub(crate) permission: Permission,
    pub(crate) pool: PoolState,
    pub(crate) place: Place,
    pub(crate) inputs: Inputs,
    pub(crate) run: Run,
}

/// How long small things may take before they are shown, and how often a start is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) running: std::time::Duration,
    pub(crate) queued: std::time::Duration,
}

/// After so many pods that could not start it, something is wrong with the execution or the pool.
pub(crate) const MAX_ATTEMPTS: u32 = 5;

/// The one thing to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// It has finished: nothing but its end of life is left.
    Forget,
    /// Nothing until something happens, or until then.
    Wait(Option<Instant>),
    /// Ask the pool for a pod.
    Queue,
    /// Write that it waits, and why.
    ShowQueued(String),
    /// Write that it runs, or is about to run, in that pod.
    ShowRunning(PodUid),
    /// Start it in that pod.
    Start(PodUid),
    /// Follow it in the pod that has it already.
    Attach(PodUid),
    /// End the program.
    Cancel,
    /// Give the pod up and take another.
    TryAnother,
    /// Give the pod back as it is, and try again in a while.
    GiveBack,
    /// Write what came of the run.
    Conclude,
    /// Write that it ended without a run.
    Finish(Reason, Failure),
}

/// Decides. `plan` is an error when the spec cannot be run.
pub(crate) fn decide(
    plan: Result<&Plan, &Failure>,
    seen: &Observed,
    patience: Patience,
    now: Instant,
) -> Step {
    match &seen.run {
        Run::Ended => return Step::Conclude,
        Run::Active { cancel_sent: false, .. } if seen.phase.is_terminal() => return Step::Cancel,
        Run::Active { since, cancel_sent } => return active(seen, *since, *cancel_sent, patience, now),
        Run::NotStarted { .. } | Run::NeverSent | Run::None => {}
    }
    if seen.phase.is_terminal() {
        return Step::Forget;
    }
    let held = match &seen.permission {
        Permission::Attach { pod } => return Step::Attach(Arc::clone(pod)),
        Permission::Over(reason, why) => return Step::Finish(*reason, failure(why)),
        Permission::Wait(until) => Some(Step::Wait(*until)),
        Permission::Start => None,
    };
    if let Some(message) = taken_back(&seen.run, seen.phase) {
        return Step::ShowQueued(message);
    }
    match (&seen.run, held) {
        (Run::NotStarted { attempts, message }, _) if *attempts >= MAX_ATTEMPTS => {
            let message = format!("{attempts} sandboxes did not start it; the last said: {message}");
            return Step::Finish(Reason::CapacityUnavailable, failure(&message));
        }
        (Run::NotStarted { .. }, _) => return Step::TryAnother,
        (Run::NeverSent, _) => return Step::GiveBack,
        // What may run already must not be called cancelled or invalid before that is known.
        (_, Some(wait)) => return wait,
        _ => {}
    }
    match plan {
        _ if seen.cancel => Step::Finish(Reason::Cancelled, failure("cancelled before it started")),
        Err(invalid) => Step::Finish(Reason::Invalid, invalid.clone()),
        Ok(plan) => not_started(plan, seen, patience, now),
    }
}

/// What to show of a run that came to nothing, before its pod goes to others: a new leader that finds neither the pod nor
/// a word of it would have to take the execution for lost.
pub(super) fn taken_back(run: &Run, phase: ExecutionPhase) -> Option<String> {
    match run {
        _ if phase != ExecutionPhase::Running => None,
        Run::NotStarted { message, .. } => Some(format!("a sandbox did not start it: {message}")),
        Run::NeverSent => Some("it could not be sent to its sandbox yet".to_owned()),
        Run::None | Run::Active { .. } | Run::Ended => None,
    }
}

fn active(seen: &Observed, since: Instant, cancel_sent: bool, patience: Patience, now: Instant) -> Step {
    if seen.cancel && !cancel_sent {
        return Step::Cancel;
    }
    let show = since + patience.running;
    match (&seen.place, seen.phase) {
        (_, ExecutionPhase::Running) => Step::Wait(None),
        (Place::Granted(pod), _) if now >= show => Step::ShowRunning(Arc::clone(pod)),
        _ => Step::Wait(Some(show.max(now))),
    }
}

fn not_started(plan: &Plan, seen: &Observed, patience: Patience, now: Instant) -> Step {
    if is_late(plan, seen, now) {
        return Step::Finish(Reason::StartDeadlineExceeded, deadline_failure(plan, &seen.pool));
    }
    match &seen.inputs {
        Inputs::Missing(failure) => return Step::Finish(Reason::FileUnavailable, failure.clone()),
        Inputs::Coming(until) => return Step::Wait(earliest(Some(*until), seen.deadline)),
        Inputs::NotAsked | Inputs::Ready => {}
    }
    match (&seen.place, &seen.pool) {
        (Place::Granted(pod), _) => start(seen, pod),
        (_, PoolState::Unable(why, cause)) if plan.start_deadline.is_some() => {
            let message = format!("the pool {} cannot make sandboxes: {why}", plan.pool.name);
            let field = Some("poolRef.name".to_owned());
            let value = Some(plan.pool.name.to_string());
            Step::Finish(Reason::CapacityUnavailable, Failure { cause: *cause, field, value, message })
        }
        (Place::None, PoolState::Able | PoolState::Unable(..)) => match seen.not_before {
            Some(until) if now < until => Step::Wait(earliest(Some(until), seen.deadline)),
            _ => Step::Queue,
        },
        (Place::None | Place::Waiting, _) => waiting(plan, seen, patience, now),
    }
}

/// Whether the start deadline is over. A deadline of 0 means: only in a pod that is free right now. So it is asked for
/// one first, and one that it gets is used.
fn is_late(plan: &Plan, seen: &Observed, now: Instant) -> bool {
    if plan.start_deadline.is_some_and(|wait| wait.is_zero()) {
        return seen.place == Place::Waiting || seen.pool == PoolState::Missing;
    }
    seen.deadline.is_some_and(|deadline| now >= deadline)
}

/// It has a pod. A start that follows a visible wait is announced first, so that `Queued` proves that nothing was
/// started: a new leader relies on that.
fn start(seen: &Observed, pod: &PodUid) -> Step {
    if !seen.announce || seen.announced.as_ref() == Some(pod) {
        Step::Start(Arc::clone(pod))
    } else {
        Step::ShowRunning(Arc::clone(pod))
    }
}

fn waiting(plan: &Plan, seen: &Observed, patience: Patience, now: Instant) -> Step {
    let show = seen.seen + patience.queued;
    match seen.phase {
        ExecutionPhase::Pending if now < show => return Step::Wait(earliest(Some(show), seen.deadline)),
        // An earlier leader has named a pod, which may go to others and be gone when the next leader looks.
        ExecutionPhase::Pending | ExecutionPhase::Running => {}
        _ => return Step::Wait(seen.deadline),
    }
    Step::ShowQueued(match &seen.pool {
        PoolState::Missing => format!("the pool {} does not exist", plan.pool.name),
        PoolState::Unable(why, _) => format!("the pool {} cannot make sandboxes: {why}", plan.pool.name),
        PoolState::Able => "waiting for a sandbox".to_owned(),
    })
}

fn deadline_failure(plan: &Plan, pool: &PoolState) -> Failure {
    let seconds = plan.start_deadline.unwrap_or_default().as_secs();
    let (message, cause) = match pool {
        PoolState::Able => {
            (format!("no sandbox was free within {seconds} s"), Some(FailureCause::Unschedulable))
        }
        PoolState::Unable(why, cause) => {
            (format!("the pool made no sandbox within {seconds} s: {why}"), *cause)
        }
        PoolState::Missing => {
            let name = Some(plan.pool.name.to_string());
            let message = format!("the pool {} does not exist", plan.pool.name);
            return Failure { cause: None, field: Some("poolRef.name".to_owned()), value: name, message };
        }
    };
    Failure { cause, ..failure(&message) }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

fn failure(message: &str) -> Failure {
    Failure { cause: None, field: None, value: None, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
