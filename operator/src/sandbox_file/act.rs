//! Carries out the step that was decided for a file.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use crds::{SandboxFile, SandboxFileStatus};

use super::{Error, cache, decide::Step, status, validate::ValidSource};
use crate::{context::Context, key::Key, metrics::Kind};

/// Does it. The answer is when to look again.
pub(crate) async fn act(
    context: &Context,
    key: &Key,
    file: &SandboxFile,
    source: Result<&ValidSource, &String>,
    step: Step,
) -> Result<Option<DateTime<Utc>>, Error> {
    let now = context.clock.now();
    match step {
        Step::Wait(until) => return Ok(until),
        Step::Store => store(context, key, file, source).await?,
        Step::Fail(message) => write(context, key, file, &status::failed(file, &message, now)).await?,
        Step::Expire => write(context, key, file, &status::expired(file, now)).await?,
        Step::Renew => renew(context, key, file).await?,
        Step::Delete => {
            let uid = file.metadata.uid.as_deref().unwrap_or_default();
            let deleted = context.writes.delete::<SandboxFile>(Kind::SandboxFile, key, uid, None);
            deleted.await.map_err(Error::Write)?;
        }
    }
    Ok(cache::end(file))
}

async fn store(
    context: &Context,
    key: &Key,
    file: &SandboxFile,
    source: Result<&ValidSource, &String>,
) -> Result<(), Error> {
    let now = context.clock.now();
    let placing = context.gc.placing().await;
    let stored = match source {
        Ok(ValidSource::Inline(text)) => {
            let stored = context.blobs.put_bytes(Bytes::from(text.clone())).await.map_err(Error::Store)?;
            Ok((stored.digest, stored.size_bytes))
        }
        Ok(ValidSource::Staged(staged)) => promote(context, staged).await?,
        Ok(ValidSource::Produced) | Err(_) => return Ok(()),
    };
    let new = match stored {
        Ok((digest, size)) => {
            context.gc.touch(digest.as_str());
            status::ready(file, digest.as_str(), size, now)
        }
        Err(message) => status::failed(file, &message, now),
    };
    drop(placing);
    write(context, key, file, &new).await
}

/// Gives staged bytes their name. The inner error is final and for people.
async fn promote(
    context: &Context,
    staged: &blobs::Staged,
) -> Result<Result<(blobs::Digest, u64), String>, Error> {
    match context.blobs.promote(staged).await {
        Ok(digest) => Ok(Ok((digest, staged.size_bytes))),
        Err(blobs::Error::NotFound) => {
            // A restart between promoting and saying so finds the object where it belongs.
            if context.blobs.exists(&staged.digest).await.map_err(Error::Store)? {
                Ok(Ok((staged.digest.clone(), staged.size_bytes)))
            } else {
                Ok(Err("the staged bytes are not there".to_owned()))
            }
        }
        Err(blobs::Error::HashMismatch { .. }) => Ok(Err("the staged bytes have another size".to_owned())),
        Err(error) => Err(Error::Store(error)),
    }
}

/// Registered again: its counts start anew, if its bytes are still there.
async fn renew(context: &Context, key: &Key, file: &SandboxFile) -> Result<(), Error> {
    let now = context.clock.now();
    let old = file.status.clone().unwrap_or_default();
    let digest = old.sha256.as_deref().and_then(|text| text.parse::<blobs::Digest>().ok());
    let placing = context.gc.placing().await;
    let present = match &digest {
        Some(digest) => context.blobs.exists(digest).await.map_err(Error::Store)?,
        None => false,
    };
    let new = if let Some(digest) = digest.filter(|_| present) {
        context.gc.touch(digest.as_str());
        let size = old.size_bytes.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let ready = status::ready(file, digest.as_str(), size, now);
        SandboxFileStatus { active_downloads: Vec::new(), continuations: 0, ..ready }
    } else {
        let failed = status::failed(file, "its bytes are no longer in the store", now);
        SandboxFileStatus { observed_registration: file.spec.registration, ..failed }
    };
    drop(placing);
    write(context, key, file, &new).await
}

async fn write(
    context: &Context,
    key: &Key,
    file: &SandboxFile,
    status: &SandboxFileStatus,
) -> Result<(), Error> {
    let version = file.metadata.resource_version.as_deref().unwrap_or_default();
    let written = context.writes.patch_status::<SandboxFile>(Kind::SandboxFile, key, version, status).await;
    written.map(drop).map_err(Error::Write)
}
