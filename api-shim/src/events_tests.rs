use std::sync::Arc;

use crds::{CodeExecution, CodeExecutionStatus};
use futures::stream::BoxStream;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{reasons::Ending, runs::Created};

#[derive(Debug)]
struct Fixed(Vec<(OutputStream, &'static str)>);

#[async_trait::async_trait]
impl LiveOutput for Fixed {
    async fn follow(&self, _: &str, _: &str, _: &str) -> Option<BoxStream<'static, OutputChunk>> {
        let chunk =
            |(stream, text): &(OutputStream, &str)| OutputChunk { stream: *stream, text: (*text).to_owned() };
        Some(stream::iter(self.0.iter().map(chunk).collect::<Vec<_>>()).boxed())
    }
}

fn finished(stdout: &str, stderr: &str) -> Finished {
    Finished {
        ending: Ending::Exited(0),
        status: CodeExecutionStatus::default(),
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
        files: vec![],
    }
}

/// A run whose object exists and whose result is what the sender says.
struct Run {
    running: Running,
    result: oneshot::Sender<Result<Finished, ShimError>>,
    news: watch::Sender<Seen>,
}

fn run() -> Run {
    let (sender, created) = oneshot::channel();
    let (result, received) = oneshot::channel();
    let (news, latest) = watch::channel(Seen::Nothing);
    sender
        .send(Created { name: "n".to_owned(), uid: "u".to_owned(), news: latest })
        .expect("the receiver is there");
    let result_task = tokio::spawn(async move { received.await.expect("a result") });
    Run { running: Running { created, result: result_task }, result, news }
}

fn running_object() -> Seen {
    let mut object =
        CodeExecution::new("n", serde_json::from_value(serde_json::json!({"code": ""})).expect("a spec"));
    object.status =
        Some(CodeExecutionStatus { phase: ExecutionPhase::Running, ..CodeExecutionStatus::default() });
    Seen::Object(Arc::new(object))
}

async fn open(
    running: Running,
    live: &dyn LiveOutput,
    cancel: &CancellationToken,
) -> Result<Events, ShimError> {
    Events::open(running, "default", live, cancel.clone().drop_guard()).await
}

async fn all(events: Events) -> Vec<String> {
    events.into_stream().map(|frame| frame.expect("never fails")).collect().await
}

const RESULT: &str =
    "event: result\ndata: {\"exit_code\":0,\"timed_out\":false,\"duration_ms\":0,\"files\":[]}\n\n";

#[tokio::test]
async fn live_output_then_the_rest_then_the_result() {
    let run = run();
    run.result.send(Ok(finished("hello", "late"))).expect("somebody waits");
    let live = Fixed(vec![(OutputStream::Stdout, "hel")]);
    let cancel = CancellationToken::new();
    let frames = all(open(run.running, &live, &cancel).await.expect("a stream")).await;
    assert_eq!(
        frames,
        [
            "event: output\ndata: {\"stream\":\"stdout\",\"data\":\"hel\"}\n\n",
            "event: output\ndata: {\"stream\":\"stdout\",\"data\":\"lo\"}\n\n",
            "event: output\ndata: {\"stream\":\"stderr\",\"data\":\"late\"}\n\n",
            RESULT,
        ]
    );
    assert!(!cancel.is_cancelled(), "a run that has ended is not cancelled");
}

#[tokio::test]
async fn output_that_is_not_the_beginning_of_the_kept_text_is_not_completed() {
    let run = run();
    run.result.send(Ok(finished("hello", ""))).expect("somebody waits");
    let live = Fixed(vec![(OutputStream::Stdout, "xyz")]);
    let frames = all(open(run.running, &live, &CancellationToken::new()).await.expect("a stream")).await;
    assert_eq!(frames.len(), 2);
}

#[tokio::test]
async fn without_live_output_the_stream_opens_when_the_program_runs() {
    let run = run();
    run.news.send(running_object()).expect("somebody listens");
    let events =
        open(run.running, &crate::live::NoLiveOutput, &CancellationToken::new()).await.expect("a stream");
    run.result.send(Ok(finished("late", ""))).expect("somebody waits");
    assert_eq!(all(events).await.len(), 2);
}

#[tokio::test]
async fn what_fails_before_the_start_is_an_answer() {
    let run = run();
    run.result.send(Err(ShimError::NotFound)).expect("somebody waits");
    let opened = open(run.running, &crate::live::NoLiveOutput, &CancellationToken::new()).await;
    assert!(matches!(opened, Err(ShimError::NotFound)));
}

#[tokio::test]
async fn what_fails_after_the_start_is_an_event() {
    let run = run();
    run.news.send(running_object()).expect("somebody listens");
    let events =
        open(run.running, &crate::live::NoLiveOutput, &CancellationToken::new()).await.expect("a stream");
    run.result.send(Err(ShimError::internal("a test", "secret"))).expect("somebody waits");
    assert_eq!(all(events).await, ["event: error\ndata: {\"message\":\"Internal Server Error\"}\n\n"]);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_run() {
    let run = run();
    run.news.send(running_object()).expect("somebody listens");
    let cancel = CancellationToken::new();
    let events = open(run.running, &crate::live::NoLiveOutput, &cancel).await.expect("a stream");
    drop(events.into_stream());
    assert!(cancel.is_cancelled());
}

#[tokio::test]
async fn a_silent_run_sends_comments() {
    let run = run();
    run.news.send(running_object()).expect("somebody listens");
    let mut events =
        open(run.running, &crate::live::NoLiveOutput, &CancellationToken::new()).await.expect("a stream");
    events.keep_alive = Duration::from_millis(1);
    let mut frames = std::pin::pin!(events.into_stream());
    assert_eq!(frames.next().await.expect("a frame").expect("never fails"), ": keep-alive\n\n");
}
