//! Reading what a program writes: at full speed, keeping the first bytes, counting all of them.
//!
//! The program is never blocked by a limit of ours and memory does not follow what it writes: what is
//! beyond the limit is read and dropped. It is not blocked by a slow client either; see `frames.rs`.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use protocol::{ResultPart, Stream, StreamSummary};
use rustix::{io::Errno, pipe::PipeFlags};
use tokio::{net::unix::pipe::Receiver, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{decode::Decoder, results::Results};
use crate::held::HeldRun;

/// The largest pipe an ordinary user may have; fewer switches between program and executor.
const PIPE_BYTES: usize = 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;

/// The ends that are read here.
pub(crate) struct Pipes {
    stdout: Receiver,
    stderr: Receiver,
    results: Receiver,
}

/// The ends that go to the program.
pub(crate) struct Ends {
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    pub results: OwnedFd,
}

/// Three pipes.
pub(crate) fn pipes() -> io::Result<(Pipes, Ends)> {
    let (stdout, stdout_end) = pipe()?;
    let (stderr, stderr_end) = pipe()?;
    let (results, results_end) = pipe()?;
    let ends = Ends { stdout: stdout_end, stderr: stderr_end, results: results_end };
    Ok((Pipes { stdout, stderr, results }, ends))
}

fn pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(&reader, PIPE_BYTES) {
        // The user has many pipes; the usual size works too.
        tracing::debug!(%error, "a pipe keeps its size");
    }
    // Only our end: a program expects its own to block.
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((Receiver::from_owned_fd(reader)?, writer))
}

/// What was kept of one stream, and what was counted. Pure.
#[derive(Debug)]
pub(crate) struct Kept {
    decoder: Decoder,
    limit: u64,
    size: u64,
}

impl Kept {
    pub(crate) fn new(limit: u64) -> Self {
        Self { decoder: Decoder::default(), limit, size: 0 }
    }

    /// The text of what is within the limit.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let room = usize::try_from(self.limit.saturating_sub(self.size)).unwrap_or(usize::MAX);
        self.size += bytes.len() as u64;
        self.decoder.push(bytes.get(..room).unwrap_or(bytes))
    }

    /// The last text and the sums. A character cut by the limit is left out; one that the program
    /// itself did not finish is replaced.
    pub(crate) fn end(self) -> (&'static str, StreamSummary) {
        let truncated = self.size > self.limit;
        let rest = if truncated { "" } else { self.decoder.end() };
        (rest, StreamSummary { size_bytes: self.size, truncated })
    }
}

/// All that was captured.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub stdout: StreamSummary,
    pub stderr: StreamSummary,
    pub results: Vec<ResultPart>,
    pub results_truncated: bool,
}

/// The readers of one run.
pub(crate) struct Pumps {
    stdout: JoinHandle<StreamSummary>,
    stderr: JoinHandle<StreamSummary>,
    results: JoinHandle<(Vec<ResultPart>, bool)>,
    dead: CancellationToken,
}

impl Pumps {
    pub(crate) fn start(pipes: Pipes, run: &Arc<HeldRun>, limit: u64) -> Self {
        let dead = CancellationToken::new();
        let output = |pipe, stream| tokio::spawn(output(pipe, stream, Arc::clone(run), limit, dead.clone()));
        Self {
            stdout: output(pipes.stdout, Stream::Stdout),
            stderr: output(pipes.stderr, Stream::Stderr),
            results: tokio::spawn(results(pipes.results, dead.clone())),
            dead,
        }
    }

    /// Reads what is still in the pipes. Everything that could write is dead, but a handle may live on
    /// somewhere; so it is read until nothing is there, not until the end of file.
    pub(crate) async fn drain(self) -> Captured {
        self.dead.cancel();
        let (results, results_truncated) = self.results.await.unwrap_or_default();
        Captured {
            stdout: self.stdout.await.unwrap_or_default(),
            stderr: self.stderr.await.unwrap_or_default(),
            results,
            results_truncated,
        }
    }
}

async fn output(
    pipe: Receiver,
    stream: Stream,
    run: Arc<HeldRun>,
    limit: u64,
    dead: CancellationToken,
) -> StreamSummary {
    let mut kept = Kept::new(limit);
    read_all(&pipe, &dead, |bytes| run.frames.append(stream, &kept.push(bytes))).await;
    let (rest, summary) = kept.end();
    run.frames.append(stream, rest);
    summary
}

async fn results(pipe: Receiver, dead: CancellationToken) -> (Vec<ResultPart>, bool) {
    let mut results = Results::default();
    read_all(&pipe, &dead, |bytes| results.push(bytes)).await;
    results.end()
}

/// Hands on everything until the end of file, or until `dead` and nothing is left.
async fn read_all(pipe: &Receiver, dead: &CancellationToken, mut each: impl FnMut(&[u8])) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        tokio::select! {
            biased;
            ready = pipe.readable() => if ready.is_err() { return },
            () = dead.cancelled() => break,
        }
        match pipe.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => each(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    // Past the runtime, which may not have heard of the last bytes yet.
    loop {
        match rustix::io::read(pipe.as_fd(), &mut *buffer) {
            Ok(0) => return,
            Ok(read) => each(buffer.get(..read).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn keep(limit: u64, pieces: &[&[u8]]) -> (String, StreamSummary) {
        let mut kept = Kept::new(limit);
        let mut text: String = pieces.iter().map(|piece| kept.push(piece)).collect();
        let (rest, summary) = kept.end();
        text.push_str(rest);
        (text, summary)
    }

    #[test]
    fn exactly_the_first_bytes_are_kept_and_all_are_counted() {
        let cut = StreamSummary { size_bytes: 11, truncated: true };
        assert_eq!(keep(5, &[b"hello world"]), ("hello".to_owned(), cut));
        assert_eq!(keep(5, &[b"hel", b"lo wor", b"ld"]), ("hello".to_owned(), cut));
        let whole = StreamSummary { size_bytes: 5, truncated: false };
        assert_eq!(keep(5, &[b"hello"]), ("hello".to_owned(), whole));
        assert_eq!(keep(0, &[b"x"]), (String::new(), StreamSummary { size_bytes: 1, truncated: true }));
    }

    #[test]
    fn a_character_across_the_limit_is_left_out() {
        let (text, summary) = keep(2, &["aé".as_bytes()]);
        assert_eq!((text.as_str(), summary.truncated), ("a", true));
    }

    #[test]
    fn a_character_the_program_did_not_finish_is_replaced_even_at_the_limit() {
        let (text, summary) = keep(2, &[b"a\xc3"]);
        assert_eq!((text.as_str(), summary.truncated), ("a\u{fffd}", false));
    }

    #[tokio::test]
    async fn draining_takes_what_is_there_although_a_writer_lives() {
        let (reader, writer) = pipe().unwrap();
        let mut writer = std::fs::File::from(writer);
        writer.write_all(b"last words").unwrap();
        let dead = CancellationToken::new();
        dead.cancel();
        let mut read = Vec::new();
        read_all(&reader, &dead, |bytes| read.extend_from_slice(bytes)).await;
        assert_eq!(read, b"last words");
        drop(writer);
    }
}
