//! The program's output, printed as it comes and completed from the status at the end.

use std::io::Write;

use anyhow::{Context, bail};
use crds::{CodeExecutionStatus, code_execution::OutputText, limits::TRUNCATION_MARKER};
use futures::TryStreamExt;
use serde::Deserialize;
use tokio::io::AsyncBufReadExt;
use tokio_util::io::StreamReader;

use super::session::Session;

/// One piece of live output, as the operator's internal port sends it, one JSON object a line.
#[derive(Debug, Deserialize)]
struct Chunk {
    stream: Stream,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Stream {
    Stdout,
    Stderr,
}

/// Prints and remembers how much of each stream it has printed.
#[derive(Debug, Default)]
pub(super) struct Printer {
    stdout_bytes: usize,
    stderr_bytes: usize,
}

impl Printer {
    /// Prints live output until the run has ended.
    pub(super) async fn follow(&mut self, session: &Session, name: &str, uid: &str) -> anyhow::Result<()> {
        let answer = session.live(name, uid).await.context("cannot ask for live output")?;
        if !answer.status().is_success() {
            bail!("live output was refused with {}", answer.status());
        }
        let bytes = answer.bytes_stream().map_err(std::io::Error::other);
        let mut lines = StreamReader::new(bytes).lines();
        while let Some(line) = lines.next_line().await? {
            let chunk: Chunk = serde_json::from_str(&line).context("live output is not understood")?;
            self.print(chunk.stream, &chunk.text)?;
        }
        Ok(())
    }

    /// Prints what the status has beyond what was printed, and says when text is missing.
    pub(super) fn print_rest(&mut self, status: Option<&CodeExecutionStatus>) -> std::io::Result<()> {
        let Some(status) = status else { return Ok(()) };
        self.complete(Stream::Stdout, status.stdout.as_ref())?;
        self.complete(Stream::Stderr, status.stderr.as_ref())
    }

    fn complete(&mut self, stream: Stream, output: Option<&OutputText>) -> std::io::Result<()> {
        let Some(output) = output else { return Ok(()) };
        let printed = match stream {
            Stream::Stdout => self.stdout_bytes,
            Stream::Stderr => self.stderr_bytes,
        };
        let text =
            output.text.strip_suffix(TRUNCATION_MARKER).filter(|_| output.truncated).unwrap_or(&output.text);
        if let Some(rest) = text.get(printed..) {
            self.print(stream, rest)?;
        }
        let shown = output.text.len().max(printed);
        if !output.truncated
            && output.stored_as.is_some()
            && i64::try_from(shown).is_ok_and(|shown| shown < output.size_bytes)
        {
            eprintln!("carrel: only the first {shown} bytes are shown; live output was not to be had");
        }
        if output.truncated {
            let name = if stream == Stream::Stdout { "stdout" } else { "stderr" };
            eprintln!("carrel: {name} was cut; the program wrote {} bytes", output.size_bytes);
        }
        Ok(())
    }

    fn print(&mut self, stream: Stream, text: &str) -> std::io::Result<()> {
        match stream {
            Stream::Stdout => {
                self.stdout_bytes += text.len();
                write_all(&mut std::io::stdout().lock(), text)
            }
            Stream::Stderr => {
                self.stderr_bytes += text.len();
                write_all(&mut std::io::stderr().lock(), text)
            }
        }
    }
}

fn write_all(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}
