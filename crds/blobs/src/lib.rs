//! Where bytes live: content-addressed objects over `object_store`.
//!
//! An object is named by the SHA-256 of its content, so equal bytes are stored once. Writing has two
//! steps, because the name is known only at the end of the stream and because two processes may share
//! the work: [`Blobs::stage`] hashes while it writes to a staging key, [`Blobs::promote`] gives the
//! staged bytes their name. An object is therefore whole from the moment it can be seen.
//!
//! This crate knows nothing about who may read what, for how long bytes are kept, or Kubernetes.
//!
//! | file | what it holds |
//! |---|---|
//! | `config.rs` | which backend, and how it is opened |
//! | `layout.rs` | names in the store: the only place that knows them |
//! | `digest.rs` | the name of an object |
//! | `write.rs` | stream → hashed, limited parts → staging key |
//! | `local.rs` | what the local folder needs beyond `object_store` |
//! | `read.rs` | an open file → stream that cannot end short in silence |

mod config;
mod digest;
mod error;
mod layout;
mod local;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};

pub use crate::{
    config::BlobsConfig,
    digest::{Digest, InvalidDigest},
    error::{BoxError, Error, Result},
    layout::{InvalidStagingKey, StagingKey},
    read::{ByteStream, Object},
};
use crate::{digest::Hasher, error::blocking, local::LocalFolder};

/// Bytes that are written and hashed but have no name yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Where the bytes wait.
    pub key: StagingKey,
    /// The SHA-256 of the bytes.
    pub digest: Digest,
    /// How many bytes there are.
    pub size_bytes: u64,
}

/// An object that is stored under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The name: the SHA-256 of the bytes.
    pub digest: Digest,
    /// How many bytes there are.
    pub size_bytes: u64,
}

/// The store. Cheap to clone; every clone is the same store.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    folder: Arc<LocalFolder>,
}

impl Blobs {
    /// Opens the configured backend, and makes its folders when they are missing.
    pub async fn open(config: BlobsConfig) -> Result<Self> {
        blocking("open the store", move || config.open()).await
    }

    /// Writes `content` to a new staging key while hashing it. Above `max_bytes` the answer is
    /// [`Error::TooLarge`] and nothing is kept. Nothing is kept either when the returned future is dropped.
    pub async fn stage<S, E>(&self, content: S, max_bytes: u64) -> Result<Staged>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<BoxError>,
    {
        self.check().await?;
        let key = StagingKey::random();
        let (digest, size_bytes) =
            write::write(self.store.as_ref(), &layout::staged(&key), content, max_bytes).await?;
        Ok(Staged { key, digest, size_bytes })
    }

    /// Gives staged bytes their name.
    ///
    /// Renames also over an object that exists. The content is equal, so readers see no difference; an
    /// object that was damaged is healed; and this caller's answer does not rest on a rename by another
    /// one that may not have reached the disk. The hash is not computed again; the size is compared.
    pub async fn promote(&self, staged: &Staged) -> Result<Digest> {
        let from = layout::staged(&staged.key);
        let (folder, path, expected) = (Arc::clone(&self.folder), from.clone(), staged.size_bytes);
        let size = blocking("look at staged bytes", move || folder.make_readable(&path)).await?;
        if size != expected {
            return Err(Error::HashMismatch { digest: staged.digest.clone() });
        }
        let to = layout::object(&staged.digest);
        self.store.rename(&from, &to).await.map_err(|source| Error::store("name staged bytes", source))?;
        Ok(staged.digest.clone())
    }

    /// Stages and promotes in one call.
    pub async fn put<S, E>(&self, content: S, max_bytes: u64) -> Result<Stored>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<BoxError>,
    {
        let staged = self.stage(content, max_bytes).await?;
        match self.promote(&staged).await {
            Ok(digest) => Ok(Stored { digest, size_bytes: staged.size_bytes }),
            Err(error) => {
                // Nobody else knows the key. What cannot be removed now is left to the sweep.
                let _ = self.discard(&staged.key).await;
                Err(error)
            }
        }
    }

    /// Stores bytes that are in memory already.
    pub async fn put_bytes(&self, content: Bytes) -> Result<Stored> {
        self.put(stream::iter([Ok::<_, Error>(content)]), u64::MAX).await
    }

    /// Opens an object. The content is not hashed again, but a stream that yields fewer bytes than
    /// [`Object::size_bytes`] ends in an error.
    pub async fn get(&self, digest: &Digest) -> Result<Object> {
        let (folder, path) = (Arc::clone(&self.folder), layout::object(digest));
        let file = blocking("open an object", move || folder.open_regular(&path)).await?;
        Ok(read::object(file.file, file.size_bytes))
    }

    /// As [`Blobs::get`], for callers who know the size: bytes that were cut short while at rest are
    /// refused before the first one is sent.
    pub async fn get_exact(&self, digest: &Digest, size_bytes: u64) -> Result<Object> {
        let object = self.get(digest).await?;
        if object.size_bytes == size_bytes {
            Ok(object)
        } else {
            Err(Error::HashMismatch { digest: digest.clone() })
        }
    }

    /// Reads a whole object of at most `max_bytes`, and checks its hash.
    pub async fn get_bytes(&self, digest: &Digest, max_bytes: u64) -> Result<Bytes> {
        let mut object = self.get(digest).await?;
        if object.size_bytes > max_bytes {
            return Err(Error::TooLarge { limit: max_bytes });
        }
        let mut content = BytesMut::new();
        let mut hasher = Hasher::default();
        while let Some(chunk) = object.stream.try_next().await? {
            hasher.update(&chunk);
            content.extend_from_slice(&chunk);
        }
        if hasher.finish() == *digest {
            Ok(content.freeze())
        } else {
            Err(Error::HashMismatch { digest: digest.clone() })
        }
    }

    /// Whether an object of this name is there.
    pub async fn exists(&self, digest: &Digest) -> Result<bool> {
        let (folder, path) = (Arc::clone(&self.folder), layout::object(digest));
        match blocking("look for an object", move || folder.open_regular(&path)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an object; one that is gone already is no error.
    pub async fn delete(&self, digest: &Digest) -> Result<()> {
        self.remove(&layout::object(digest), "delete an object").await
    }

    /// Removes staged bytes that nobody will promote; bytes that are gone already are no error.
    pub async fn discard(&self, key: &StagingKey) -> Result<()> {
        self.remove(&layout::staged(key), "discard staged bytes").await
    }

    /// Removes staging keys, also half-written ones, that nobody has written to for `max_age`. Returns
    /// how many there were. Names that this crate did not make are left alone.
    pub async fn sweep_staging(&self, now: SystemTime, max_age: Duration) -> Result<usize> {
        let folder = Arc::clone(&self.folder);
        blocking("sweep the staging folder", move || folder.sweep(now, max_age)).await
    }

    async fn remove(&self, path: &object_store::path::Path, action: &'static str) -> Result<()> {
        match self.store.delete(path).await {
            Ok(()) => Ok(()),
            Err(object_store::Error::NotFound { .. }) => self.check().await,
            Err(source) => Err(Error::store(action, source)),
        }
    }

    async fn check(&self) -> Result<()> {
        let folder = Arc::clone(&self.folder);
        blocking("find its folder", move || folder.check()).await
    }
}
