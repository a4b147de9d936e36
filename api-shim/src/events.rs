//! The events of one streamed run: live output, then what live output did not bring, then the result.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use crds::ExecutionPhase;
use futures::{
    Stream, StreamExt,
    future::OptionFuture,
    stream::{self, BoxStream},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::DropGuard;

use crate::{
    answer::{Finished, stream_result},
    error::ShimError,
    live::{LiveOutput, OutputChunk, OutputStream},
    runs::Running,
    waiters::Seen,
};

/// A comment is sent after so long without a frame.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The end of live output is awaited so long once the result is known.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// The frames of one run.
#[derive(Debug)]
pub struct Events {
    live: Option<Live>,
    result: Option<JoinHandle<Result<Finished, ShimError>>>,
    finished: Option<Result<Finished, ShimError>>,
    sent: [Sent; 2],
    frames: VecDeque<String>,
    keep_alive: Duration,
    /// Cancels the run when the events are dropped before their end.
    client: Option<DropGuard>,
}

struct Live(BoxStream<'static, OutputChunk>);

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

/// What was sent of one stream: how much, and the hash of it, to tell whether it is the kept text's beginning.
#[derive(Debug, Default)]
struct Sent {
    bytes: usize,
    hash: Sha256,
}

impl Events {
    /// Waits until the program runs or cannot run; what goes wrong before is an answer, not an event.
    pub async fn open(
        running: Running,
        namespace: &str,
        live: &dyn LiveOutput,
        client: DropGuard,
    ) -> Result<Self, ShimError> {
        let Running { created, result } = running;
        let mut events = Self {
            live: None,
            result: Some(result),
            finished: None,
            sent: [Sent::default(), Sent::default()],
            frames: VecDeque::new(),
            keep_alive: KEEP_ALIVE,
            client: Some(client),
        };
        let Ok(created) = created.await else {
            events.wait_for_result().await;
            return events.decided();
        };
        events.live = live.follow(namespace, &created.name, &created.uid).await.map(Live);
        events.wait_for_start(created.news).await;
        events.decided()
    }

    async fn wait_for_start(&mut self, mut news: watch::Receiver<Seen>) {
        let mut started = std::pin::pin!(runs(&mut news));
        loop {
            tokio::select! {
                biased;
                chunk = next_chunk(&mut self.live), if self.live.is_some() => match chunk {
                    Some(chunk) => return self.take_chunk(&chunk),
                    None => self.live = None,
                },
                result = joined(&mut self.result) => return self.take_result(result),
                () = &mut started => return,
            }
        }
    }

    fn decided(mut self) -> Result<Self, ShimError> {
        match self.finished.take() {
            Some(Err(error)) => Err(error),
            other => {
                self.finished = other;
                Ok(self)
            }
        }
    }

    /// The frames as a body.
    pub fn into_stream(self) -> impl Stream<Item = Result<String, Infallible>> {
        stream::unfold(self, |mut events| async move { events.next().await.map(|frame| (Ok(frame), events)) })
    }

    /// The next frame; nothing after the last.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            self.client.as_ref()?;
            match tokio::time::timeout(self.keep_alive, self.advance()).await {
                Ok(()) => {}
                Err(_) => return Some(": keep-alive\n\n".to_owned()),
            }
        }
    }

    /// Takes one step; it may be dropped at any await without losing anything.
    async fn advance(&mut self) {
        if self.finished.is_some() {
            if let Ok(Some(chunk)) = tokio::time::timeout(LAST_OUTPUT, next_chunk(&mut self.live)).await {
                return self.take_chunk(&chunk);
            }
            return self.end();
        }
        tokio::select! {
            biased;
            chunk = next_chunk(&mut self.live), if self.live.is_some() => match chunk {
                Some(chunk) => self.take_chunk(&chunk),
                None => self.live = None,
            },
            result = joined(&mut self.result) => self.take_result(result),
        }
    }

    async fn wait_for_result(&mut self) {
        let result = joined(&mut self.result).await;
        self.take_result(result);
    }

    fn take_result(&mut self, result: Result<Result<Finished, ShimError>, JoinError>) {
        self.result = None;
        let flat = result.unwrap_or_else(|error| Err(ShimError::internal("running an execution", error)));
        self.finished = Some(flat);
    }

    fn take_chunk(&mut self, chunk: &OutputChunk) {
        let [stdout, stderr] = &mut self.sent;
        let sent = match chunk.stream {
            OutputStream::Stdout => stdout,
            OutputStream::Stderr => stderr,
        };
        sent.bytes += chunk.text.len();
        sent.hash.update(chunk.text.as_bytes());
        self.frames.push_back(output_frame(chunk.stream, &chunk.text));
    }

    fn end(&mut self) {
        self.live = None;
        if let Some(client) = self.client.take() {
            drop(client.disarm());
        }
        match self.finished.take() {
            Some(Ok(finished)) => {
                let [stdout, stderr] = std::mem::take(&mut self.sent);
                let rests = [
                    (OutputStream::Stdout, rest(stdout, &finished.stdout)),
                    (OutputStream::Stderr, rest(stderr, &finished.stderr)),
                ];
                let missing = rests.into_iter().filter(|(_, text)| !text.is_empty());
                self.frames.extend(missing.map(|(stream, text)| output_frame(stream, text)));
                self.frames.push_back(frame("result", &stream_result(&finished)));
            }
            Some(Err(error)) => {
                error.log();
                self.frames.push_back(frame("error", &ErrorData { message: error.detail() }));
            }
            None => {}
        }
    }
}

/// What live output did not bring of the kept text, when what it brought is the text's beginning.
fn rest(sent: Sent, text: &str) -> &str {
    let Some((beginning, rest)) = text.split_at_checked(sent.bytes) else { return "" };
    if Sha256::digest(beginning.as_bytes()) == sent.hash.finalize() { rest } else { "" }
}

async fn next_chunk(live: &mut Option<Live>) -> Option<OutputChunk> {
    OptionFuture::from(live.as_mut().map(|live| live.0.next())).await.flatten()
}

/// The end of the run's task; never when it was taken already.
async fn joined(
    result: &mut Option<JoinHandle<Result<Finished, ShimError>>>,
) -> Result<Result<Finished, ShimError>, JoinError> {
    match result {
        Some(handle) => handle.await,
        None => std::future::pending().await,
    }
}

/// Resolves when the status says that the program runs.
async fn runs(news: &mut watch::Receiver<Seen>) {
    loop {
        let running = matches!(&*news.borrow_and_update(), Seen::Object(object)
            if object.status.as_ref().is_some_and(|status| status.phase == ExecutionPhase::Running));
        if running {
            return;
        }
        if news.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn output_frame(stream: OutputStream, text: &str) -> String {
    let name = match stream {
        OutputStream::Stdout => "stdout",
        OutputStream::Stderr => "stderr",
    };
    frame("output", &OutputData { stream: name, data: text })
}

#[derive(Serialize)]
struct OutputData<'a> {
    stream: &'static str,
    data: &'a str,
}

#[derive(Serialize)]
struct ErrorData {
    message: String,
}

/// One compact line of JSON: none of these can fail to be written.
fn frame(event: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {event}\ndata: {data}\n\n")
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
