//! What running programs have written so far, in the order it came. The final text is made of the same buffer.
//!
//! In memory only and bounded by each execution's `limits.outputBytes`; it ends with the run.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    sync::Arc,
};

use futures::stream;
use parking_lot::Mutex;
use protocol::Stream;
use tokio::sync::watch;

/// How many ended executions are remembered, so that nobody waits for their output.
const REMEMBERED: usize = 16_384;
/// No chunk is longer.
const CHUNK_BYTES: usize = 64 * 1024;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LiveChunk {
    /// Where the program wrote it.
    pub stream: Stream,
    /// What it wrote; never half a character.
    pub text: String,
}

/// The output of all running executions. Clones are the same.
#[derive(Clone, Default)]
pub struct LiveOutputs {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    runs: HashMap<String, Arc<LiveRun>>,
    ended: HashSet<String>,
    order: VecDeque<String>,
}

impl LiveOutputs {
    /// The output of an execution from its beginning, to the end of its run. An execution that has not started
    /// yet is waited for. `None` when it has ended already.
    #[must_use]
    pub fn follow(&self, uid: &str) -> Option<impl futures::Stream<Item = LiveChunk> + Send + use<>> {
        let run = self.run(uid)?;
        let follower = Follower { changed: run.version.subscribe(), at: 0, segment: 0 };
        let held = Held { outputs: self.clone(), uid: uid.to_owned(), run: Some(run) };
        Some(stream::unfold((follower, held), |(mut follower, held)| async move {
            let chunk = follower.next(held.run.as_deref()?).await?;
            Some((chunk, (follower, held)))
        }))
    }

    /// The buffer of an execution, made when there is none; `None` when it has ended.
    pub(crate) fn run(&self, uid: &str) -> Option<Arc<LiveRun>> {
        let mut inner = self.inner.lock();
        if inner.ended.contains(uid) {
            return None;
        }
        Some(Arc::clone(inner.runs.entry(uid.to_owned()).or_default()))
    }

    /// The execution has finished or is gone: followers see the rest and then the end.
    pub(crate) fn end(&self, uid: &str) {
        let mut inner = self.inner.lock();
        if let Some(run) = inner.runs.remove(uid) {
            run.finish();
        }
        if inner.ended.insert(uid.to_owned()) {
            inner.order.push_back(uid.to_owned());
        }
        if inner.order.len() > REMEMBERED
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.ended.remove(&oldest);
        }
    }

    /// A follower goes: a buffer that nobody else holds is dropped, so that waiting costs nothing after it.
    /// Followers come and go only while the map is locked, so what is left besides the map's own is exact.
    fn give_back(&self, uid: &str, run: Option<Arc<LiveRun>>) {
        let mut inner = self.inner.lock();
        drop(run);
        if inner.runs.get(uid).is_some_and(|run| Arc::strong_count(run) == 1 && run.is_empty()) {
            inner.runs.remove(uid);
        }
    }
}

impl fmt::Debug for LiveOutputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveOutputs").field("runs", &self.inner.lock().runs.len()).finish_non_exhaustive()
    }
}

/// A follower's hold on a buffer. It owns the only reference of that follower, and gives it back to the map.
struct Held {
    outputs: LiveOutputs,
    uid: String,
    run: Option<Arc<LiveRun>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.outputs.give_back(&self.uid, self.run.take());
    }
}

/// What one execution has written.
#[derive(Debug, Default)]
pub(crate) struct LiveRun {
    buffer: Mutex<Buffer>,
    version: watch::Sender<u64>,
}

/// All text in the order it came, and which part belongs to which stream.
#[derive(Debug, Default)]
struct Buffer {
    text: String,
    /// Each segment's stream and where it ends in `text`.
    segments: Vec<(Stream, usize)>,
    finished: bool,
}

impl LiveRun {
    pub(crate) fn push(&self, stream: Stream, text: &str) {
        if text.is_empty() {
            return;
        }
        self.buffer.lock().push(stream, text);
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Everything written to one stream.
    pub(crate) fn text(&self, stream: Stream) -> String {
        self.buffer.lock().only(stream)
    }

    /// How many bytes of one stream are here, for going on after a lost connection.
    pub(crate) fn bytes(&self, stream: Stream) -> usize {
        self.buffer.lock().pieces().filter(|(s, _)| *s == stream).map(|(_, text)| text.len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.buffer.lock().text.is_empty()
    }

    fn finish(&self) {
        self.buffer.lock().finished = true;
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }
}

impl Buffer {
    fn push(&mut self, stream: Stream, text: &str) {
        self.text.push_str(text);
        let end = self.text.len();
        match self.segments.last_mut() {
            Some((last, last_end)) if *last == stream => *last_end = end,
            _ => self.segments.push((stream, end)),
        }
    }

    fn pieces(&self) -> impl Iterator<Item = (Stream, &str)> {
        self.segments.iter().scan(0, |start, (stream, end)| {
            let piece = self.text.get(*start..*end).unwrap_or_default();
            *start = *end;
            Some((*stream, piece))
        })
    }

    fn only(&self, stream: Stream) -> String {
        self.pieces().filter(|(s, _)| *s == stream).map(|(_, text)| text).collect()
    }

    /// The piece at byte `at`, which lies in `segment` or begins a later one.
    fn chunk(&self, at: usize, segment: &mut usize) -> Option<LiveChunk> {
        while self.segments.get(*segment).is_some_and(|(_, end)| *end <= at)
            && *segment + 1 < self.segments.len()
        {
            *segment += 1;
        }
        let (stream, end) = self.segments.get(*segment).filter(|(_, end)| *end > at)?;
        let mut cut = (*end).min(at + CHUNK_BYTES);
        while !self.text.is_char_boundary(cut) {
            cut -= 1;
        }
        let text = self.text.get(at..cut)?.to_owned();
        Some(LiveChunk { stream: *stream, text })
    }
}

/// One reader's place in a buffer.
struct Follower {
    changed: watch::Receiver<u64>,
    at: usize,
    segment: usize,
}

impl Follower {
    async fn next(&mut self, run: &LiveRun) -> Option<LiveChunk> {
        loop {
            self.changed.borrow_and_update();
            let (chunk, finished) = {
                let buffer = run.buffer.lock();
                (buffer.chunk(self.at, &mut self.segment), buffer.finished)
            };
            if let Some(chunk) = chunk {
                self.at += chunk.text.len();
                return Some(chunk);
            }
            if finished || self.changed.changed().await.is_err() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn chunk(stream: Stream, text: &str) -> LiveChunk {
        LiveChunk { stream, text: text.to_owned() }
    }

    #[tokio::test]
    async fn a_follower_sees_everything_from_the_beginning_in_order_and_then_the_end() {
        let outputs = LiveOutputs::default();
        let run = outputs.run("u").unwrap();
        run.push(Stream::Stdout, "a");
        run.push(Stream::Stdout, "b");
        run.push(Stream::Stderr, "é");
        let mut follower = Box::pin(outputs.follow("u").unwrap());
        assert_eq!(follower.next().await, Some(chunk(Stream::Stdout, "ab")));
        assert_eq!(follower.next().await, Some(chunk(Stream::Stderr, "é")));
        run.push(Stream::Stderr, "c");
        assert_eq!(follower.next().await, Some(chunk(Stream::Stderr, "c")));
        run.push(Stream::Stdout, "d");
        outputs.end("u");
        assert_eq!(follower.next().await, Some(chunk(Stream::Stdout, "d")));
        assert_eq!(follower.next().await, None);
    }

    #[tokio::test]
    async fn a_follower_may_come_before_the_run_and_not_after_its_end() {
        let outputs = LiveOutputs::default();
        let follower = outputs.follow("u").unwrap();
        outputs.run("u").unwrap().push(Stream::Stdout, "a");
        outputs.end("u");
        assert_eq!(follower.collect::<Vec<_>>().await, [chunk(Stream::Stdout, "a")]);
        assert!(outputs.follow("u").is_none());
    }

    #[test]
    fn a_follower_that_goes_leaves_nothing_behind() {
        let outputs = LiveOutputs::default();
        drop(outputs.follow("u"));
        assert!(outputs.inner.lock().runs.is_empty());
    }

    #[tokio::test]
    async fn a_follower_that_goes_leaves_the_buffer_to_the_others_and_to_the_run() {
        let outputs = LiveOutputs::default();
        let (first, second) = (outputs.follow("u").unwrap(), outputs.follow("u").unwrap());
        drop(first);
        let run = outputs.run("u").unwrap();
        drop(outputs.follow("u"));
        run.push(Stream::Stdout, "a");
        outputs.end("u");
        assert_eq!(second.collect::<Vec<_>>().await, [chunk(Stream::Stdout, "a")]);
    }

    #[test]
    fn a_run_without_output_keeps_its_buffer_when_its_only_follower_goes() {
        let outputs = LiveOutputs::default();
        let run = outputs.run("u").unwrap();
        drop(outputs.follow("u"));
        assert!(Arc::ptr_eq(&run, &outputs.run("u").unwrap()));
    }

    #[test]
    fn each_stream_is_whole_whatever_came_between() {
        let run = LiveRun::default();
        run.push(Stream::Stdout, "a");
        run.push(Stream::Stderr, "x");
        run.push(Stream::Stdout, "é");
        assert_eq!(run.text(Stream::Stdout), "aé");
        assert_eq!(run.bytes(Stream::Stdout), 3);
        assert_eq!(run.text(Stream::Stderr), "x");
    }

    #[test]
    fn a_long_piece_is_cut_at_a_character() {
        let mut buffer = Buffer::default();
        buffer.push(Stream::Stdout, &format!("a{}", "é".repeat(CHUNK_BYTES)));
        let mut segment = 0;
        assert_eq!(buffer.chunk(0, &mut segment).unwrap().text.len(), CHUNK_BYTES - 1);
    }
}
