//! Follows one run from its start to what came of it. One task per run; it never decides what to do next.
//!
//! From the moment that the request may have reached a pod, only that pod is asked again: the executor knows a
//! uid, so asking twice never runs twice. Only what certainly was not accepted may go elsewhere.

mod cancelling;
mod intake;
mod patience;
mod trouble;

use std::{sync::Arc, time::Duration};

use crds::{Reason, limits};
use futures::StreamExt as _;
use protocol::{ExecuteRequest, Frame, Outcome};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::{
    cancelling::cancelling,
    intake::Intake,
    patience::Progress,
    trouble::{Trouble, cancelled, invalid},
};
use super::{
    collect, inputs, output,
    runs::{Left, Run},
    status::{self, Ending, PodPlace},
    validate::{Origin, Plan, Program},
    verdict::{Verdict, verdict},
};
use crate::{
    context::Context,
    executor_client::{CallError, Content, Frames, Target},
    key::Key,
    live_output::LiveRun,
    metrics::Stage,
};

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// After a pod is gone, what its connection still holds is read for so long.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// After a pod is gone, a request to it is given up after so long: longer than connecting is tried, because what
/// found no connection was not started.
const LAST_CONNECT: Duration = Duration::from_secs(4);
/// How often a request that came too late for its token is sent again.
const LATE_REQUESTS: u32 = 3;

/// What a run's task is about.
pub(crate) struct Job {
    pub(crate) context: Arc<Context>,
    pub(crate) key: Key,
    pub(crate) run: Run,
    pub(crate) origin: Arc<Origin>,
    pub(crate) plan: Arc<Plan>,
    /// The texts; absent when the pod has them already.
    pub(crate) program: Option<Arc<Program>>,
}

/// The outcome, or why there is none.
enum Followed {
    Outcome(Box<Outcome>),
    NotStarted(String),
    Refused(Box<Ending>),
    /// Nobody can say what came of it.
    Lost,
}

impl Job {
    /// Runs to the end. Whatever happens, something is left for the reconcile that is woken then.
    pub(crate) async fn follow(mut self) {
        let guard =
            Guard { context: Arc::clone(&self.context), key: self.key.clone(), uid: self.run.uid.clone() };
        let left = match self.run.pod.target() {
            Some(target) => self.left(&target).await,
            None => Left::not_started("the pod has no address".to_owned(), false),
        };
        guard.context.runs.leave(&guard.key, &guard.uid, left);
    }

    async fn left(&mut self, target: &Target) -> Left {
        let Some(live) = self.context.live.run(&self.run.uid) else {
            return Left::ended(self.lost("its output was ended before it began").await, false);
        };
        let mut progress = Progress::new(self.patience(), Instant::now());
        let cancelling = cancelling(Arc::clone(&self.context), target.clone(), self.run.clone());
        let followed = tokio::select! {
            followed = self.frames(target, &live, &mut progress) => followed,
            never = cancelling => match never {},
        };
        let ending = match followed {
            Followed::NotStarted(message) => {
                let (uid, sent, request_id) = (&self.run.uid, self.run.sent.get(), &self.origin.request_id);
                tracing::warn!(execution = %self.key, %uid, request_id, sent, message, "a sandbox did not start it");
                return Left::not_started(message, !sent);
            }
            Followed::Refused(ending) => *ending,
            Followed::Lost => self.lost("the sandbox was lost while the program may have run").await,
            Followed::Outcome(outcome) => {
                let (reason, exit_code, signal, failure) = status::meaning(&outcome.end);
                let began = Instant::now();
                let collected = collect::collect(self, target, &live, *outcome).await;
                self.context.metrics.stage(Stage::Collect, began.elapsed());
                let collected = Some(collected);
                let started = progress.started.or_else(|| Some(self.context.clock.now()));
                let failure = failure.map(status::renamed);
                Ending { reason, exit_code, signal, failure, started, place: None, collected }
            }
        };
        let place = if self.run.sent.get() { Some(PodPlace::of(&self.run.pod.facts())) } else { None };
        Left::ended(Ending { place, ..ending }, !self.run.sent.get())
    }

    /// Sends the request and reads frames until the end, over as many connections as it takes.
    async fn frames(&mut self, target: &Target, live: &LiveRun, progress: &mut Progress) -> Followed {
        let (mut wait, mut late, mut accepted) = (FIRST_RETRY, 0, self.program.is_none());
        let mut silent_since = None;
        loop {
            let error = match self.connect(target, accepted, progress).await {
                Ok(frames) => {
                    (accepted, wait, silent_since) = (true, FIRST_RETRY, None);
                    match self.read(frames, live, progress).await {
                        Ok(outcome) => return Followed::Outcome(outcome),
                        Err(error) => error,
                    }
                }
                Err(Trouble::Inputs(error)) if !accepted => return self.without_inputs(error),
                Err(Trouble::Inputs(error)) => CallError::Broken(error.into()),
                Err(Trouble::Unsent(why)) if !accepted => return Followed::NotStarted(why.to_owned()),
                Err(Trouble::Unsent(_) | Trouble::Silent) => return Followed::Lost,
                Err(Trouble::Cancelled) => return Followed::Refused(Box::new(cancelled())),
                Err(Trouble::Call(error)) => {
                    match verdict(&error, accepted) {
                        Verdict::Elsewhere => return Followed::NotStarted(error.to_string()),
                        Verdict::Invalid => return Followed::Refused(Box::new(invalid(error))),
                        Verdict::TooLate if late >= LATE_REQUESTS => {
                            return Followed::NotStarted(error.to_string());
                        }
                        Verdict::TooLate => late += 1,
                        Verdict::Unknown => return Followed::Lost,
                        Verdict::Again => accepted |= !matches!(error, CallError::NotLeader(_)),
                    }
                    error
                }
            };
            tracing::info!(execution = %self.key, uid = %self.run.uid, %error, "asking the sandbox again");
            let since = *silent_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.context.config.timings.lost_after || Instant::now() >= progress.give_up
            {
                return Followed::Lost;
            }
            tokio::select! {
                () = self.run.pod.gone.cancelled() => return Followed::Lost,
                () = sleep(wait) => wait = (wait * 2).min(LAST_RETRY),
            }
        }
    }

    /// How long until the executor itself must have ended the run, and a good while longer.
    fn patience(&self) -> Duration {
        let beyond = limits::COLLECT_MILLISECONDS + limits::OPERATOR_MARGIN_MILLISECONDS;
        self.plan.timeout
            + Duration::from_millis(beyond.unsigned_abs())
            + self.context.config.timings.lost_after
    }

    /// Starts, or attaches when there is nothing (left) to start with.
    async fn connect(
        &self,
        target: &Target,
        accepted: bool,
        progress: &mut Progress,
    ) -> Result<Frames, Trouble> {
        let executor = &self.context.executor;
        let Some(program) = &self.program else {
            self.run.sent.set(true);
            return Ok(executor.attach(target, &self.run.uid).await?);
        };
        let gone = &self.run.pod.gone;
        let (request, content) = tokio::select! {
            prepared = self.prepare(program) => prepared?,
            () = gone.cancelled() => return Err(Trouble::Unsent("the pod is gone")),
            () = sleep_until(progress.give_up) => return Err(Trouble::Unsent("its files took too long")),
            () = self.run.cancel.cancelled(), if !accepted => return Err(Trouble::Cancelled),
        };
        progress.sends(request.inputs.iter().fold(0, |sum, file| file.size_bytes.saturating_add(sum)));
        let hopeless = async {
            gone.cancelled().await;
            sleep(LAST_CONNECT).await;
        };
        let before = self.run.sent.set(true);
        tokio::select! {
            frames = executor.execute(target, &self.run.uid, &request, content) => {
                // Without the lease not one byte was sent.
                self.run.sent.set(before || !matches!(frames, Err(CallError::NotLeader(_))));
                Ok(frames?)
            }
            () = hopeless => Err(Trouble::Silent),
            () = sleep_until(progress.give_up) => Err(Trouble::Silent),
        }
    }

    /// The request and the bytes of its files. Nothing is sent yet.
    async fn prepare(&self, program: &Program) -> Result<(ExecuteRequest, Content), inputs::InputsError> {
        let files = inputs::check(&self.context, &self.key, &self.plan, program).await?;
        let request = inputs::request(&self.context, &self.plan, program, &files).await?;
        let content = inputs::content(&self.context, program, &files);
        Ok((request, content))
    }

    /// Reads one connection. Text that an earlier connection brought is not taken twice.
    async fn read(
        &mut self,
        mut frames: Frames,
        live: &LiveRun,
        progress: &mut Progress,
    ) -> Result<Box<Outcome>, CallError> {
        // The executor has the request now; the texts are needed no more.
        self.program = None;
        let mut intake = Intake::new(live, output::limit(self.plan.limits.output_bytes));
        let gone = &self.run.pod.gone;
        loop {
            let frame = tokio::select! {
                frame = frames.next() => frame,
                () = gone.cancelled() => timeout(LAST_WORDS, frames.next()).await.unwrap_or(None),
                () = sleep_until(progress.give_up) => None,
            };
            match frame {
                Some(Ok(Frame::Started { started_unix_milliseconds: told })) => {
                    progress.starts(told, Instant::now(), self.context.clock.now());
                    self.context.metrics.stage(Stage::Start, self.run.since.elapsed());
                }
                Some(Ok(Frame::Output { stream, text })) => intake.push(live, stream, &text),
                Some(Ok(Frame::Ended { outcome })) => return Ok(outcome),
                Some(Err(error)) => return Err(error),
                None => return Err(CallError::Broken("the sandbox says nothing more".into())),
            }
        }
    }

    fn without_inputs(&self, error: inputs::InputsError) -> Followed {
        use inputs::InputsError;
        let (reason, failure) = match error {
            InputsError::Missing(failure) => (Reason::FileUnavailable, failure),
            InputsError::Invalid(failure) => (Reason::Invalid, failure),
            InputsError::Store(blobs::Error::NotFound | blobs::Error::HashMismatch { .. }) => {
                (Reason::FileUnavailable, status::failure(None, "the bytes of a file are not in the store"))
            }
            other => return Followed::NotStarted(other.to_string()),
        };
        tracing::info!(execution = %self.key, uid = %self.run.uid, "its files were no longer there at its start");
        Followed::Refused(Box::new(Ending::without_run(reason, failure)))
    }

    /// The end of a run of which nothing will be heard: out of memory when the kubelet says so.
    async fn lost(&self, message: &str) -> Ending {
        if !self.run.pod.facts().fate.out_of_memory && !self.run.pod.gone.is_cancelled() {
            let _ = timeout(LAST_WORDS, self.run.pod.gone.cancelled()).await;
        }
        let reason = if self.run.pod.facts().fate.out_of_memory { Reason::OutOfMemory } else { Reason::Lost };
        Ending::without_run(reason, status::failure(None, message))
    }
}

/// Wakes the reconcile when the task ends, also when it panics: then nobody knows what came of the run. A task that
/// is dropped because the operator ends leaves nothing: the run goes on, and the next operator follows it.
struct Guard {
    context: Arc<Context>,
    key: Key,
    uid: Arc<str>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let nothing_left = || self.context.runs.get(&self.key).is_some_and(|run| run.left.is_none());
        if std::thread::panicking() && nothing_left() {
            let failure = status::failure(None, "the operator failed while it followed the run");
            let ending = Ending::without_run(Reason::Lost, failure);
            self.context.runs.leave(&self.key, &self.uid, Left::ended(ending, false));
        }
        self.context.execution_queue.push(self.key.clone());
    }
}
