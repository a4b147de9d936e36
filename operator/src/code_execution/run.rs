//! Follows one run from its start to what came of it. One task per run; it never decides what to do next.
//!
//! From the moment that the request may have reached a pod, only that pod is asked again: the executor knows a
//! uid, so asking twice never runs twice. Only what certainly was not accepted may go elsewhere.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use crds::{Reason, limits};
use futures::StreamExt as _;
use protocol::{Frame, Outcome, Stream};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    collect, inputs,
    runs::{Left, Run},
    status::{self, Ending, PodPlace},
    validate::{Plan, Program},
    verdict::{Verdict, verdict},
};
use crate::{
    context::Context,
    executor_client::{CallError, Frames, Target},
    key::Key,
    live_output::LiveRun,
    metrics::Stage,
};

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// After a pod is gone, what its connection still holds is read for so long.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often a request that came too late for its token is sent again.
const LATE_REQUESTS: u32 = 3;

/// What a run's task is about.
pub(crate) struct Job {
    pub(crate) context: Arc<Context>,
    pub(crate) key: Key,
    pub(crate) run: Run,
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
            None => Left::NotStarted("the pod has no address".to_owned()),
        };
        guard.context.runs.leave(&guard.key, &guard.uid, left);
    }

    async fn left(&mut self, target: &Target) -> Left {
        let Some(live) = self.context.live.run(&self.run.uid) else {
            return Left::Ended(Arc::new(self.lost("its output was ended before it began").await));
        };
        let mut started = None;
        let followed = self.frames(target, &live, &mut started).await;
        let ending = match followed {
            Followed::NotStarted(message) => return Left::NotStarted(message),
            Followed::Refused(ending) => *ending,
            Followed::Lost => self.lost("the sandbox was lost while the program may have run").await,
            Followed::Outcome(outcome) => {
                let (reason, exit_code, signal, failure) = status::meaning(&outcome.end);
                let began = Instant::now();
                let collected = collect::collect(self, target, &live, *outcome).await;
                self.context.metrics.stage(Stage::Collect, began.elapsed());
                let collected = Some(collected);
                let started = started.or_else(|| Some(self.context.clock.now()));
                let failure = failure.map(collect::renamed);
                Ending { reason, exit_code, signal, failure, started, place: None, collected }
            }
        };
        Left::Ended(Arc::new(Ending { place: Some(PodPlace::of(&self.run.pod.facts())), ..ending }))
    }

    /// Sends the request and reads frames until the end, over as many connections as it takes.
    async fn frames(
        &mut self,
        target: &Target,
        live: &LiveRun,
        started: &mut Option<DateTime<Utc>>,
    ) -> Followed {
        let give_up = self.patience();
        let (mut wait, mut late, mut accepted) = (FIRST_RETRY, 0, self.program.is_none());
        let mut silent_since = None;
        loop {
            let error = match self.connect(target).await {
                Ok(frames) => {
                    (accepted, wait, silent_since) = (true, FIRST_RETRY, None);
                    match self.read(frames, target, live, started, give_up).await {
                        Ok(outcome) => return Followed::Outcome(outcome),
                        Err(error) => error,
                    }
                }
                Err(Trouble::Inputs(error)) if !accepted => return self.without_inputs(error),
                Err(Trouble::Inputs(error)) => CallError::Broken(error.into()),
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
            if since.elapsed() >= self.context.config.timings.lost_after || Instant::now() >= give_up {
                return Followed::Lost;
            }
            tokio::select! {
                () = self.run.pod.gone.cancelled() => return Followed::Lost,
                () = sleep(wait) => wait = (wait * 2).min(LAST_RETRY),
            }
        }
    }

    /// When the executor itself must have ended the run, and a good while later.
    fn patience(&self) -> Instant {
        let beyond = limits::COLLECT_MILLISECONDS + limits::OPERATOR_MARGIN_MILLISECONDS;
        Instant::now()
            + self.plan.timeout
            + Duration::from_millis(beyond.unsigned_abs())
            + self.context.config.timings.lost_after
    }

    /// Starts, or attaches when there is nothing (left) to start with.
    async fn connect(&self, target: &Target) -> Result<Frames, Trouble> {
        let Some(program) = &self.program else {
            return Ok(self.context.executor.attach(target, &self.run.uid).await?);
        };
        let files = inputs::check(&self.context, &self.key, &self.plan, program).await?;
        let request = inputs::request(&self.context, &self.plan, program, &files).await?;
        let content = inputs::content(&self.context, program, &files);
        Ok(self.context.executor.execute(target, &self.run.uid, &request, content).await?)
    }

    /// Reads one connection. Text that an earlier connection brought is not taken twice.
    async fn read(
        &mut self,
        mut frames: Frames,
        target: &Target,
        live: &LiveRun,
        started: &mut Option<DateTime<Utc>>,
        give_up: Instant,
    ) -> Result<Box<Outcome>, CallError> {
        // The executor has the request now; the texts are needed no more.
        self.program = None;
        let mut skip = [live.bytes(Stream::Stdout), live.bytes(Stream::Stderr)];
        let gone = self.run.pod.gone.clone();
        let cancel = self.run.cancel.clone();
        let mut cancelled = false;
        loop {
            let frame = tokio::select! {
                frame = frames.next() => frame,
                () = cancel.cancelled(), if !cancelled => {
                    cancelled = true;
                    self.cancel(target);
                    continue;
                }
                () = gone.cancelled() => timeout(LAST_WORDS, frames.next()).await.unwrap_or(None),
                () = sleep_until(give_up) => None,
            };
            match frame {
                Some(Ok(Frame::Started { started_unix_milliseconds })) => {
                    *started = DateTime::from_timestamp_millis(started_unix_milliseconds);
                    self.context.metrics.stage(Stage::Start, self.run.since.elapsed());
                }
                Some(Ok(Frame::Output { stream, text })) => push(live, &mut skip, stream, &text),
                Some(Ok(Frame::Ended { outcome })) => return Ok(outcome),
                Some(Err(error)) => return Err(error),
                None => return Err(CallError::Broken("the sandbox says nothing more".into())),
            }
        }
    }

    /// Asks the executor to end the run, until it has heard it. The run's stream then ends by itself.
    fn cancel(&self, target: &Target) {
        let (context, target, uid) = (Arc::clone(&self.context), target.clone(), Arc::clone(&self.run.uid));
        let gone = self.run.pod.gone.clone();
        self.context.supervisor.spawn(async move {
            let mut wait = FIRST_RETRY;
            while let Err(error) = context.executor.cancel(&target, &uid).await {
                if matches!(error, CallError::Refused(_)) {
                    return;
                }
                tokio::select! {
                    () = gone.cancelled() => return,
                    () = sleep(wait) => wait = (wait * 2).min(LAST_RETRY),
                }
            }
        });
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

enum Trouble {
    Inputs(inputs::InputsError),
    Call(CallError),
}

impl From<inputs::InputsError> for Trouble {
    fn from(error: inputs::InputsError) -> Self {
        Self::Inputs(error)
    }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

fn invalid(error: CallError) -> Ending {
    let failure = match error {
        CallError::Refused(body) => collect::renamed(status::failure(body.field.clone(), &body.message)),
        other => status::failure(None, &other.to_string()),
    };
    Ending::without_run(Reason::Invalid, failure)
}

/// Takes in text, but not what is there already.
fn push(live: &LiveRun, skip: &mut [usize; 2], stream: Stream, text: &str) {
    let [out, err] = skip;
    let skip = match stream {
        Stream::Stdout => out,
        Stream::Stderr => err,
    };
    let known = (*skip).min(text.len());
    *skip -= known;
    live.push(stream, text.get(known..).unwrap_or_default());
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
            let ending = Arc::new(Ending::without_run(Reason::Lost, failure));
            self.context.runs.leave(&self.key, &self.uid, Left::Ended(ending));
        }
        self.context.execution_queue.push(self.key.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_was_there_before_a_lost_connection_is_not_taken_twice() {
        let live = LiveRun::default();
        live.push(Stream::Stdout, "abc");
        let mut skip = [3, 0];
        push(&live, &mut skip, Stream::Stdout, "ab");
        push(&live, &mut skip, Stream::Stdout, "cd");
        push(&live, &mut skip, Stream::Stderr, "x");
        assert_eq!((live.text(Stream::Stdout).as_str(), live.text(Stream::Stderr).as_str()), ("abcd", "x"));
    }
}
