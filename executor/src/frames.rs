//! The frames of one run, kept from the first so that everybody who attaches sees all of them.
//!
//! Output is one text with marks of which stream wrote up to where: memory follows what was kept, not
//! how many writes it came in; the number of marks has a limit. Readers hold a position and nothing else,
//! so a slow one costs nothing.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::{Frame, MAX_FRAME_TEXT_BYTES, Outcome, Stream};
use tokio::sync::watch;

/// How much is handed to a connection at once.
const BATCH_BYTES: usize = 256 * 1024;
/// A mark is 16 bytes for as little as one byte of text, so a program that changes the stream with every byte
/// would take 17 times its output's limit. This many are 1 MiB; no output that somebody reads comes near.
const MAX_MARKS: usize = 65_536;

/// The log of one run; one writer, any number of readers.
#[derive(Debug)]
pub(crate) struct FrameLog {
    log: Mutex<Log>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Log {
    started: Option<i64>,
    text: String,
    /// Which stream wrote the text up to which byte; neighbours differ.
    marks: Vec<(Stream, usize)>,
    /// What the other stream wrote when the last possible mark was taken: the last mark's stream goes on in
    /// `text`, this one goes on here, and the order between the two is not kept any more.
    late: Option<(Stream, String)>,
    outcome: Option<Arc<Outcome>>,
}

/// How far one reader is.
#[derive(Debug, Default)]
struct Position {
    started: bool,
    mark: usize,
    byte: usize,
    late: usize,
    ended: bool,
}

impl Default for FrameLog {
    fn default() -> Self {
        Self { log: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl FrameLog {
    pub(crate) fn start(&self, unix_milliseconds: i64) {
        self.log.lock().started = Some(unix_milliseconds);
        self.changed.send_replace(());
    }

    pub(crate) fn append(&self, stream: Stream, text: &str) {
        if text.is_empty() {
            return;
        }
        self.log.lock().append(stream, text);
        self.changed.send_replace(());
    }

    pub(crate) fn end(&self, outcome: Outcome) {
        self.log.lock().outcome = Some(Arc::new(outcome));
        self.changed.send_replace(());
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.log.lock().outcome.is_some()
    }

    /// Waits until there is a first frame.
    pub(crate) async fn begun(&self) {
        let mut changed = self.changed.subscribe();
        let begun = |log: &Log| log.started.is_some() || log.outcome.is_some();
        while !begun(&self.log.lock()) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// All frames from the first to the last as lines of JSON.
    pub(crate) fn lines(
        run: Arc<crate::held::HeldRun>,
    ) -> impl futures::Stream<Item = Result<Bytes, serde_json::Error>> + Send {
        let changed = run.frames.changed.subscribe();
        futures::stream::try_unfold((run, Position::default(), changed), |(run, mut at, mut changed)| async {
            loop {
                // Marked as seen before looking, so that no change falls between.
                changed.mark_unchanged();
                let lines = run.frames.log.lock().batch(&mut at)?;
                if !lines.is_empty() {
                    return Ok(Some((Bytes::from(lines), (run, at, changed))));
                }
                if at.ended || changed.changed().await.is_err() {
                    return Ok(None);
                }
            }
        })
    }
}

impl Log {
    fn append(&mut self, stream: Stream, text: &str) {
        let end = self.text.len() + text.len();
        let has_room = self.marks.len() < MAX_MARKS;
        match self.marks.last_mut() {
            Some((last, until)) if *last == stream => *until = end,
            _ if has_room => self.marks.push((stream, end)),
            _ => return self.late.get_or_insert_with(|| (stream, String::new())).1.push_str(text),
        }
        self.text.push_str(text);
    }

    /// The next frames as lines, about a batch full; empty when there is nothing new.
    fn batch(&self, at: &mut Position) -> Result<Vec<u8>, serde_json::Error> {
        let mut lines = Vec::new();
        while lines.len() < BATCH_BYTES
            && let Some(frame) = self.next(at)
        {
            serde_json::to_writer(&mut lines, &frame)?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    fn next(&self, at: &mut Position) -> Option<Frame> {
        if !at.started
            && let Some(started_unix_milliseconds) = self.started
        {
            at.started = true;
            return Some(Frame::Started { started_unix_milliseconds });
        }
        if let Some(frame) = self.next_output(at).or_else(|| self.next_late(at)) {
            return Some(frame);
        }
        let outcome = self.outcome.as_ref().filter(|_| !at.ended)?;
        at.ended = true;
        Some(Frame::Ended { outcome: Box::new(Outcome::clone(outcome)) })
    }

    fn next_output(&self, at: &mut Position) -> Option<Frame> {
        let (mut stream, mut until) = *self.marks.get(at.mark)?;
        if at.byte == until {
            (stream, until) = *self.marks.get(at.mark + 1)?;
            at.mark += 1;
        }
        let text = piece(&self.text, at.byte, until)?;
        at.byte += text.len();
        Some(Frame::Output { stream, text })
    }

    fn next_late(&self, at: &mut Position) -> Option<Frame> {
        let (stream, late) = self.late.as_ref().filter(|(_, late)| at.late < late.len())?;
        let text = piece(late, at.late, late.len())?;
        at.late += text.len();
        Some(Frame::Output { stream: *stream, text })
    }
}

/// As much as one frame takes.
fn piece(text: &str, from: usize, until: usize) -> Option<String> {
    let end = text.floor_char_boundary(until.min(from + MAX_FRAME_TEXT_BYTES));
    text.get(from..end).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;
    use crate::{held::HeldRun, run::outcome};

    fn output(stream: Stream, text: &str) -> Frame {
        Frame::Output { stream, text: text.to_owned() }
    }

    fn all(log: &Log, at: &mut Position) -> Vec<Frame> {
        std::iter::from_fn(|| log.next(at)).collect()
    }

    #[test]
    fn writes_of_one_stream_join_and_the_order_of_both_is_kept() {
        let mut log = Log::default();
        for (stream, text) in
            [(Stream::Stdout, "a"), (Stream::Stdout, "b"), (Stream::Stderr, "c"), (Stream::Stdout, "d")]
        {
            log.append(stream, text);
        }
        let expected =
            [output(Stream::Stdout, "ab"), output(Stream::Stderr, "c"), output(Stream::Stdout, "d")];
        assert_eq!(all(&log, &mut Position::default()), expected);
    }

    #[test]
    fn a_reader_that_has_all_gets_only_what_comes_later() {
        let mut log = Log::default();
        let mut at = Position::default();
        log.append(Stream::Stdout, "a");
        assert_eq!(all(&log, &mut at), [output(Stream::Stdout, "a")]);
        assert!(all(&log, &mut at).is_empty());
        log.append(Stream::Stdout, "b");
        log.append(Stream::Stderr, "c");
        assert_eq!(all(&log, &mut at), [output(Stream::Stdout, "b"), output(Stream::Stderr, "c")]);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut log = Log::default();
        let text = format!("a{}", "é".repeat(MAX_FRAME_TEXT_BYTES));
        log.append(Stream::Stdout, &text);
        let frames = all(&log, &mut Position::default());
        let parts: Vec<&str> = frames
            .iter()
            .map(|frame| if let Frame::Output { text, .. } = frame { text.as_str() } else { panic!() })
            .collect();
        assert!(parts.len() > 2);
        assert!(parts.iter().all(|part| part.len() <= MAX_FRAME_TEXT_BYTES));
        assert_eq!(parts.concat(), text);
    }

    #[test]
    fn streams_that_take_turns_cost_a_limited_number_of_marks_and_lose_nothing() {
        let mut log = Log::default();
        let mut live = Position::default();
        let mut frames = Vec::new();
        let turns = MAX_MARKS + 1001;
        let mut written = [String::new(), String::new()];
        for turn in 0..turns {
            let letter = char::from(b'a' + u8::try_from(turn % 23).unwrap()).to_string();
            let stream = if turn % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
            log.append(stream, &letter);
            written[turn % 2].push_str(&letter);
            if turn % 997 == 0 {
                frames.extend(all(&log, &mut live));
            }
        }
        frames.extend(all(&log, &mut live));
        assert_eq!(log.marks.len(), MAX_MARKS);
        assert!(log.marks.capacity() <= MAX_MARKS);
        for read in [frames, all(&log, &mut Position::default())] {
            let mut texts = [String::new(), String::new()];
            for frame in read {
                let Frame::Output { stream, text } = frame else { panic!() };
                texts[usize::from(stream == Stream::Stderr)].push_str(&text);
            }
            assert!(texts == written, "a stream lost or changed its text");
        }
    }

    #[tokio::test]
    async fn everyone_who_attaches_sees_everything_and_then_the_end() {
        let run = Arc::new(HeldRun::new("a"));
        let early = tokio::spawn(FrameLog::lines(Arc::clone(&run)).try_collect::<Vec<_>>());
        tokio::task::yield_now().await;
        run.frames.start(5);
        run.frames.append(Stream::Stdout, "x");
        tokio::task::yield_now().await;
        run.frames.append(Stream::Stdout, "y");
        run.frames.end(outcome::never_started(protocol::StartFailure::Internal, None, "m".to_owned()));
        let late = FrameLog::lines(Arc::clone(&run)).try_collect::<Vec<_>>().await.unwrap().concat();
        let early = early.await.unwrap().unwrap().concat();
        for lines in [early, late] {
            let frames: Vec<Frame> = String::from_utf8(lines)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert!(matches!(frames.first(), Some(Frame::Started { started_unix_milliseconds: 5 })));
            assert!(matches!(frames.last(), Some(Frame::Ended { .. })));
            let text: String = frames
                .iter()
                .filter_map(
                    |frame| if let Frame::Output { text, .. } = frame { Some(text.as_str()) } else { None },
                )
                .collect();
            assert_eq!(text, "xy");
        }
    }
}
