//! Live output from the operator to the shim: in one process a function call.

use api_shim::live::{LiveOutput, OutputChunk, OutputStream};
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use operator::live_output::LiveOutputs;
use protocol::Stream;

/// The operator's live output as the shim wants it.
#[derive(Debug)]
pub(super) struct InProcess(pub(super) LiveOutputs);

#[async_trait]
impl LiveOutput for InProcess {
    async fn follow(&self, _: &str, _: &str, uid: &str) -> Option<BoxStream<'static, OutputChunk>> {
        let chunks = self.0.follow(uid)?;
        Some(chunks.map(|chunk| OutputChunk { stream: stream(chunk.stream), text: chunk.text }).boxed())
    }
}

fn stream(stream: Stream) -> OutputStream {
    match stream {
        Stream::Stdout => OutputStream::Stdout,
        Stream::Stderr => OutputStream::Stderr,
    }
}
