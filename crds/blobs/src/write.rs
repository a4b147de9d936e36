//! A stream of bytes to a staging key: cut into parts, counted against the limit, hashed while the store
//! writes. At most one part is in memory, whatever the stream sends and however fast.

use std::pin::pin;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, TryStreamExt, try_join};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};

use crate::{
    BoxError, Digest,
    digest::Hasher,
    error::{Error, Result, blocking},
};

/// What is handed to the store at a time.
pub(crate) const PART_BYTES: usize = 1024 * 1024;

/// Up to here hashing is shorter than a change of thread.
const HASH_INLINE_BYTES: usize = 16 * 1024;

const ACTION: &str = "write staged bytes";

/// Writes `content` to `path`; on any error nothing is left there.
pub(crate) async fn write<S, E>(
    store: &dyn ObjectStore,
    path: &Path,
    content: S,
    max_bytes: u64,
) -> Result<(Digest, u64)>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Into<BoxError>,
{
    let content = content.map_err(|source| Error::Content(source.into()));
    let mut parts = Parts { content: pin!(content), pending: Bytes::new(), size_bytes: 0, max_bytes };
    let first = parts.next().await?;
    let hasher = if first.len() < PART_BYTES {
        let put = store.put(path, PutPayload::from(first.clone()));
        try_join!(hash(Hasher::default(), first), async { put.await.map_err(store_error) })?.0
    } else {
        let upload = store.put_multipart(path).await.map_err(store_error)?;
        write_parts(upload, first, &mut parts).await?
    };
    Ok((hasher.finish(), parts.size_bytes))
}

async fn write_parts<S>(
    mut upload: Box<dyn MultipartUpload>,
    first: Bytes,
    parts: &mut Parts<S>,
) -> Result<Hasher>
where
    S: Stream<Item = Result<Bytes>> + Unpin + Send,
{
    match pump(upload.as_mut(), first, parts).await {
        Ok(hasher) => {
            upload.complete().await.map_err(store_error)?;
            Ok(hasher)
        }
        Err(error) => {
            // The first error is the one to report; what stays behind is left to the sweep.
            let _ = upload.abort().await;
            Err(error)
        }
    }
}

async fn pump<S>(upload: &mut dyn MultipartUpload, first: Bytes, parts: &mut Parts<S>) -> Result<Hasher>
where
    S: Stream<Item = Result<Bytes>> + Unpin + Send,
{
    let mut hasher = Hasher::default();
    let mut part = first;
    while !part.is_empty() {
        let written = upload.put_part(PutPayload::from(part.clone()));
        (hasher, ()) = try_join!(hash(hasher, part), async { written.await.map_err(store_error) })?;
        part = parts.next().await?;
    }
    Ok(hasher)
}

async fn hash(mut hasher: Hasher, part: Bytes) -> Result<Hasher> {
    if part.len() <= HASH_INLINE_BYTES {
        hasher.update(&part);
        return Ok(hasher);
    }
    blocking("hash", move || {
        hasher.update(&part);
        Ok(hasher)
    })
    .await
}

fn store_error(source: object_store::Error) -> Error {
    Error::backend(ACTION, source)
}

/// Cuts chunks of any size into parts of one size.
struct Parts<S> {
    content: S,
    pending: Bytes,
    size_bytes: u64,
    max_bytes: u64,
}

impl<S> Parts<S>
where
    S: Stream<Item = Result<Bytes>> + Unpin + Send,
{
    /// The next part: `PART_BYTES` long, shorter at the end of the content, empty after it.
    async fn next(&mut self) -> Result<Bytes> {
        let mut part = BytesMut::new();
        while part.len() < PART_BYTES {
            if self.pending.is_empty() && !self.receive().await? {
                break;
            }
            let missing = PART_BYTES - part.len();
            let piece = self.pending.split_to(missing.min(self.pending.remaining()));
            if piece.len() == PART_BYTES {
                return Ok(piece);
            }
            // Copied, so that many small chunks cost their bytes and not their bookkeeping.
            part.extend_from_slice(&piece);
        }
        Ok(part.freeze())
    }

    /// Takes one more chunk from the content. False at its end.
    async fn receive(&mut self) -> Result<bool> {
        let Some(chunk) = self.content.try_next().await? else { return Ok(false) };
        self.size_bytes = self.size_bytes.saturating_add(chunk.len() as u64);
        if self.size_bytes > self.max_bytes {
            return Err(Error::TooLarge { limit: self.max_bytes });
        }
        self.pending = chunk;
        Ok(true)
    }
}
