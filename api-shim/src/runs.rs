//! One run from draft to result: look for room, stage, register, create, wait, fetch. The only place that knows this order.
//!
//! A run is driven by a task of its own, so that a client that goes away does not end it; who wants it
//! ended cancels its token.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{CodeExecution, CodeExecutionSpec, CodeExecutionStatus, ExecutionPhase, Reason, limits};
use tokio::sync::{oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    admission::Slot,
    answer::Finished,
    cancels::{Cancels, Existence},
    draft::{Draft, InputName},
    error::ShimError,
    executions::{CreateError, Executions, Origin},
    metrics::{Metrics, Outcome, Rejection},
    outputs::Outputs,
    reasons::{Ending, NoRoom, NotRun, ending},
    rooms::{Rooms, Taken},
    stage::Stage,
    waiters::{Seen, Waiter, Waiters},
};

/// An execution that exists.
#[derive(Debug)]
pub struct Created {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// News of it.
    pub news: watch::Receiver<Seen>,
}

/// Runs the executions of a tenant.
#[derive(Debug)]
pub struct Runs {
    /// The API.
    pub executions: Executions,
    /// Who waits.
    pub waiters: Arc<Waiters>,
    /// What is to be ended.
    pub cancels: Cancels,
    /// How much more the pools take.
    pub rooms: Arc<Rooms>,
    /// Where long parts go.
    pub stage: Stage,
    /// Where long output comes from.
    pub outputs: Outputs,
    /// What is counted.
    pub metrics: Metrics,
    /// The runs under way, for an orderly shutdown.
    pub tasks: TaskTracker,
    /// `Retry-After` when the cluster has no room.
    pub capacity_retry_after_seconds: u64,
    /// Who has heard nothing for so long looks himself: a watch may be dead without a sign of it.
    pub silence: Duration,
}

/// A run that is under way.
#[derive(Debug)]
pub struct Running {
    /// Resolves when the object exists; dropped when it never will.
    pub created: oneshot::Receiver<Created>,
    /// The result.
    pub result: tokio::task::JoinHandle<Result<Finished, ShimError>>,
}

impl Runs {
    /// Starts a run in a task of its own, which holds the slot to the end.
    #[must_use]
    pub fn start(self: &Arc<Self>, draft: Draft, slot: Slot, cancel: CancellationToken) -> Running {
        let (sender, created) = oneshot::channel();
        let runs = Arc::clone(self);
        let task = async move {
            let result = runs.drive(draft, sender, &cancel).await;
            runs.count(&slot, &result);
            drop(slot);
            result
        };
        Running { created, result: self.tasks.spawn(task.in_current_span()) }
    }

    async fn drive(
        &self,
        draft: Draft,
        announce: oneshot::Sender<Created>,
        cancel: &CancellationToken,
    ) -> Result<Finished, ShimError> {
        let begin = Instant::now();
        let Draft { mut spec, origin, inputs, held } = draft;
        let _room =
            self.rooms.claim(&spec.pool_ref.name, begin).map_err(|Taken| self.no_room(NoRoom::QueueFull))?;
        let name = format!("run-{}", Uuid::new_v4());
        self.stage.long_parts(&mut spec, &name).await?;
        let patience = patience(&spec);
        let waiter = self.waiters.register(&name);
        let object = self.create(&name, spec, &origin, patience).await?;
        drop(held);
        self.metrics.created(begin.elapsed().as_secs_f64());
        let uid = object.metadata.uid.unwrap_or_default();
        tracing::debug!(execution = name, uid, "created");
        let _nobody_listens = announce.send(Created { name: name.clone(), uid, news: waiter.news() });

        let created = Instant::now();
        let status = self.wait(&name, waiter, patience, cancel).await?;
        self.metrics.waited(created.elapsed().as_secs_f64());
        let ending = ending(&status).map_err(|not_run| self.not_run(not_run, inputs))?;
        self.fetch(ending, status).await
    }

    async fn create(
        &self,
        name: &str,
        spec: CodeExecutionSpec,
        origin: &Origin,
        life: Duration,
    ) -> Result<CodeExecution, ShimError> {
        match self.executions.create(name, spec, origin).await {
            Ok(object) => Ok(object),
            Err(CreateError::Refused(error)) => Err(error),
            Err(error @ CreateError::Unknown(_)) => {
                self.cancels.begin(name, Existence::Unsure, life).await;
                Err(ShimError::internal("creating an execution", error))
            }
        }
    }

    /// Waits for the end. `cancel` ends the run, not the waiting: the outcome still comes.
    async fn wait(
        &self,
        name: &str,
        mut waiter: Waiter,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> Result<CodeExecutionStatus, ShimError> {
        let mut deadline = std::pin::pin!(tokio::time::sleep(patience));
        let mut cancelled = false;
        let mut phase = ExecutionPhase::Pending;
        loop {
            let seen = tokio::select! {
                seen = waiter.next() => seen,
                () = cancel.cancelled(), if !cancelled => {
                    cancelled = true;
                    self.cancels.begin(name, Existence::Known, patience).await;
                    continue;
                }
                () = &mut deadline => {
                    self.cancels.begin(name, Existence::Known, patience).await;
                    return Err(self.no_end(name, phase));
                }
                () = tokio::time::sleep(self.silence) => Seen::Unlisted,
            };
            let object = match seen {
                Seen::Nothing => continue,
                Seen::Object(object) => object,
                Seen::Deleted => return Err(deleted(name)),
                Seen::Unlisted => match self.executions.get(name).await {
                    Ok(Some(object)) => Arc::new(object),
                    Ok(None) => return Err(deleted(name)),
                    // The watch itself goes on and tells us, or the next look does.
                    Err(_) => continue,
                },
            };
            if let Some(status) = terminal(&object) {
                return Ok(status.clone());
            }
            phase = object.status.as_ref().map_or(phase, |status| status.phase);
        }
    }

    fn no_end(&self, name: &str, phase: ExecutionPhase) -> ShimError {
        tracing::error!(execution = name, ?phase, "gave up waiting for an execution and cancelled it");
        match phase {
            ExecutionPhase::Pending | ExecutionPhase::Queued => self.no_room(NoRoom::Unschedulable),
            _ => ShimError::internal("waiting for an execution", "it did not end in time"),
        }
    }

    fn no_room(&self, room: NoRoom) -> ShimError {
        ShimError::NoRoom { room, retry_after_seconds: self.capacity_retry_after_seconds }
    }

    fn not_run(&self, not_run: NotRun, inputs: Vec<InputName>) -> ShimError {
        match not_run {
            NotRun::FileUnavailable(index) => {
                let mut inputs = inputs.into_iter();
                let input = index.map_or_else(|| None, |index| inputs.nth(index));
                input.map_or_else(
                    || ShimError::internal("staging files", "a file is gone"),
                    InputName::not_found,
                )
            }
            NotRun::NoRoom(room) => self.no_room(room),
            NotRun::Broken(text) => ShimError::internal("running an execution", text),
        }
    }

    async fn fetch(&self, ending: Ending, status: CodeExecutionStatus) -> Result<Finished, ShimError> {
        if ending == Ending::NoSpace {
            let stderr = status.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
            return Ok(Finished { ending, status, stdout: String::new(), stderr, files: Vec::new() });
        }
        let begin = Instant::now();
        let stdout = self.outputs.text(status.stdout.as_ref()).await?;
        let stderr = self.outputs.text(status.stderr.as_ref()).await?;
        let files = self.outputs.files(&status).await?;
        self.metrics.fetched(begin.elapsed().as_secs_f64());
        Ok(Finished { ending, status, stdout, stderr, files })
    }

    fn count(&self, slot: &Slot, result: &Result<Finished, ShimError>) {
        let operation = slot.operation();
        let outcome = match result {
            Ok(finished) => outcome(finished),
            Err(_) => Outcome::error,
        };
        self.metrics.completed(operation, outcome);
        if let Err(ShimError::NoRoom { room, .. }) = result {
            let reason = match room {
                NoRoom::Quota => Rejection::quota_exceeded,
                NoRoom::Unschedulable | NoRoom::QueueFull => Rejection::unschedulable,
            };
            self.metrics.rejected(operation, 503, reason);
        }
    }
}

/// A program's own failure is `ok`; a run that was taken away from it is not.
fn outcome(finished: &Finished) -> Outcome {
    match finished.status.reason {
        Some(Reason::TimedOut) => Outcome::timed_out,
        Some(Reason::Completed | Reason::NonZeroExit | Reason::Signalled | Reason::OutOfMemory) => {
            Outcome::ok
        }
        _ => Outcome::error,
    }
}

fn terminal(object: &CodeExecution) -> Option<&CodeExecutionStatus> {
    object.status.as_ref().filter(|status| status.phase.is_terminal())
}

fn deleted(name: &str) -> ShimError {
    ShimError::internal("waiting for an execution", format!("{name} was deleted"))
}

/// How long to wait in all: everything that the others may take, and a margin of our own.
fn patience(spec: &CodeExecutionSpec) -> Duration {
    let start = spec.start_deadline_seconds.unwrap_or(limits::START_DEADLINE_SECONDS).saturating_mul(1000);
    let install = spec.packages.timeout_seconds.saturating_mul(1000);
    let parts = [
        start,
        install,
        spec.timeout_milliseconds,
        limits::COLLECT_MILLISECONDS,
        limits::SHIM_MARGIN_MILLISECONDS,
    ];
    let all = parts.into_iter().fold(0_i64, i64::saturating_add);
    Duration::from_millis(u64::try_from(all).unwrap_or_default())
}
