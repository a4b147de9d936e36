//! One accepted connection as bytes: which version of HTTP its client begins with, and an end to a client that
//! does not take what it is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// What an HTTP/2 client begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that fails when nothing can be written to it for a while.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    /// What was read to know the version.
    first: BytesMut,
    patience: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Patient<S> {
    /// `patience` is how long a write may wait for the client.
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, first: BytesMut::new(), patience, stuck: None }
    }

    /// Whether the client speaks HTTP/2. Reads as little as it takes; nothing is lost.
    pub(crate) async fn is_http2(&mut self) -> io::Result<bool> {
        while PREFACE.starts_with(&self.first) && self.first.len() < PREFACE.len() {
            if self.stream.read_buf(&mut self.first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.first.starts_with(PREFACE))
    }

    fn timed<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), context) {
            self.stuck = None;
            return Poll::Ready(written);
        }
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stuck.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.first.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let count = this.first.len().min(buffer.remaining());
        buffer.put_slice(this.first.get(..count).unwrap_or_default());
        this.first.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().timed(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().timed(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().timed(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().timed(context, AsyncWrite::poll_shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn begins(sent: &'static [u8]) -> (bool, Vec<u8>) {
        let (mut client, server) = tokio::io::duplex(64);
        let mut connection = Patient::new(server, Duration::from_secs(30));
        // Byte by byte, as a slow client sends it.
        let sending = tokio::spawn(async move {
            for byte in sent {
                client.write_all(std::slice::from_ref(byte)).await.expect("sent");
            }
        });
        let http2 = connection.is_http2().await.expect("enough");
        let mut read = Vec::new();
        connection.read_to_end(&mut read).await.expect("read");
        sending.await.expect("no panic");
        (http2, read)
    }

    #[tokio::test]
    async fn the_version_is_told_and_nothing_of_the_connection_is_lost() {
        for (sent, http2) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], false),
            (b"PRI * HTTP/1.1\r\n\r\n", false),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest", true),
        ] {
            assert_eq!(begins(sent).await, (http2, sent.to_vec()));
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_off() {
        let (_client, server) = tokio::io::duplex(4);
        let mut connection = Patient::new(server, Duration::from_millis(1));
        let written = connection.write_all(b"more than fits").await;
        assert_eq!(written.expect_err("stuck").kind(), io::ErrorKind::TimedOut);
    }
}
