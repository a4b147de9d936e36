//! What can go wrong with bytes, and the one way to leave the asynchronous threads for file calls.

use std::io;

use crate::Digest;

/// Any error, as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why bytes could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object, or what has its name is not a regular file.
    #[error("there is no such object")]
    NotFound,
    /// The content is longer than the caller allows.
    #[error("the content is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes under this name are not the bytes of this name.
    #[error("the stored bytes do not match the digest {digest}")]
    HashMismatch {
        /// The name that was asked for.
        digest: Digest,
    },
    /// The stream that was to be stored broke off.
    #[error("the content could not be read to its end")]
    Content(#[source] BoxError),
    /// The store itself failed.
    #[error("the store could not {action}")]
    Backend {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: BoxError,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::backend(action, source),
        }
    }

    pub(crate) fn store(action: &'static str, source: object_store::Error) -> Self {
        match source {
            object_store::Error::NotFound { .. } => Self::NotFound,
            other => Self::backend(action, other),
        }
    }

    pub(crate) fn backend(action: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Backend { action, source: source.into() }
    }
}

/// Runs file calls on a thread that may block.
pub(crate) async fn blocking<T, F>(action: &'static str, work: F) -> Result<T>
where
    F: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|source| Error::io(action, source)),
        Err(source) => Err(Error::backend(action, source)),
    }
}
