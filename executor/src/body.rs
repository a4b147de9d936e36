//! The body of a `PUT`: one line of JSON, then the inputs' bytes. Read in pieces, never whole.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use protocol::MAX_REQUEST_LINE_BYTES;

/// How long the sender may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A body that is being read.
#[derive(Debug)]
pub(crate) struct RequestBody {
    chunks: BodyDataStream,
    rest: Bytes,
    silence: Duration,
}

/// Why a body cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the first line is longer than {MAX_REQUEST_LINE_BYTES} bytes")]
    LineTooLong,
    #[error("the body ended too early")]
    Ended,
    #[error("the body is longer than the request says")]
    TooLong,
    #[error("the sender was silent for {SILENCE:?}")]
    Silent,
    #[error("the body could not be read: {0}")]
    Transport(#[source] axum::Error),
}

impl RequestBody {
    pub(crate) fn new(body: Body) -> Self {
        Self { chunks: body.into_data_stream(), rest: Bytes::new(), silence: SILENCE }
    }

    /// The first line, without its end.
    pub(crate) async fn line(&mut self) -> Result<Bytes, BodyError> {
        let mut line = BytesMut::new();
        loop {
            let chunk = self.chunk().await?.ok_or(BodyError::Ended)?;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            if line.len() + end.unwrap_or(chunk.len()) > MAX_REQUEST_LINE_BYTES {
                return Err(BodyError::LineTooLong);
            }
            let Some(end) = end else {
                line.extend_from_slice(&chunk);
                continue;
            };
            self.rest = chunk.slice(end + 1..);
            line.extend_from_slice(&chunk.slice(..end));
            return Ok(line.freeze());
        }
    }

    /// Some of the next bytes, at least one and at most `limit` (which is not 0).
    pub(crate) async fn bytes(&mut self, limit: u64) -> Result<Bytes, BodyError> {
        let mut chunk = self.chunk().await?.ok_or(BodyError::Ended)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if chunk.len() > limit {
            self.rest = chunk.split_off(limit);
        }
        Ok(chunk)
    }

    /// Checks that nothing follows.
    pub(crate) async fn end(&mut self) -> Result<(), BodyError> {
        match self.chunk().await? {
            Some(_) => Err(BodyError::TooLong),
            None => Ok(()),
        }
    }

    /// Reads the rest and forgets it, so that a sender that does not need to be heard can still finish
    /// its request and then hear us.
    pub(crate) async fn discard(mut self) {
        while let Ok(Some(_)) = self.chunk().await {}
    }

    /// The next chunk that is not empty; `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        loop {
            let next = tokio::time::timeout(self.silence, self.chunks.next()).await;
            match next.map_err(|_| BodyError::Silent)? {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => return Ok(Some(chunk)),
                Some(Err(error)) => return Err(BodyError::Transport(error)),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: &[&'static str]) -> RequestBody {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok::<_, std::io::Error>(Bytes::from(*chunk))).collect();
        RequestBody::new(Body::from_stream(futures::stream::iter(chunks)))
    }

    #[tokio::test]
    async fn line_and_bytes_come_apart_however_they_are_cut() {
        for chunks in [&["{}\nabcdef"][..], &["{", "}", "\n", "abc", "", "def"], &["{}", "\nabcd", "ef"]] {
            let mut body = body(chunks);
            assert_eq!(body.line().await.unwrap(), "{}");
            let mut read = Vec::new();
            while read.len() < 6 {
                read.extend_from_slice(&body.bytes(6 - read.len() as u64).await.unwrap());
            }
            assert_eq!(read, b"abcdef");
            body.end().await.unwrap();
        }
    }

    #[tokio::test]
    async fn no_more_is_read_than_was_asked_for() {
        let mut body = body(&["\nabc"]);
        body.line().await.unwrap();
        assert_eq!(body.bytes(2).await.unwrap(), "ab");
        assert!(matches!(body.end().await, Err(BodyError::TooLong)));
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_an_error() {
        assert!(matches!(body(&["{}"]).line().await, Err(BodyError::Ended)));
        let mut body = body(&["\n"]);
        body.line().await.unwrap();
        assert!(matches!(body.bytes(1).await, Err(BodyError::Ended)));
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused_at_the_limit() {
        let chunk = "x".repeat(1 << 20);
        let chunks =
            futures::stream::repeat_with(move || Ok::<_, std::io::Error>(Bytes::from(chunk.clone())));
        let mut body = RequestBody::new(Body::from_stream(chunks));
        assert!(matches!(body.line().await, Err(BodyError::LineTooLong)));
    }

    #[tokio::test]
    async fn a_silent_sender_is_given_up() {
        let silent = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        let mut body = RequestBody::new(Body::from_stream(silent));
        body.silence = Duration::from_millis(1);
        assert!(matches!(body.line().await, Err(BodyError::Silent)));
    }
}
