//! Live output of a run: what the shim needs of whoever has it. In the single binary that is a function
//! call into the operator; this file knows nothing of either.

use async_trait::async_trait;
use futures::stream::BoxStream;

/// Which stream a piece of output is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// stdout.
    Stdout,
    /// stderr.
    Stderr,
}

/// A piece of output, in the order in which it was written; never a part of a character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChunk {
    /// Which stream.
    pub stream: OutputStream,
    /// The text.
    pub text: String,
}

/// Where live output comes from.
#[async_trait]
pub trait LiveOutput: std::fmt::Debug + Send + Sync {
    /// Follows the output of one execution from its beginning. May be called before anybody has started
    /// it; the stream is silent until then, and ends when the run has ended. `None` when there is no live
    /// output to be had: the whole output is in the status in the end.
    async fn follow(&self, namespace: &str, name: &str, uid: &str)
    -> Option<BoxStream<'static, OutputChunk>>;
}

/// No live output at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLiveOutput;

#[async_trait]
impl LiveOutput for NoLiveOutput {
    async fn follow(&self, _: &str, _: &str, _: &str) -> Option<BoxStream<'static, OutputChunk>> {
        None
    }
}
