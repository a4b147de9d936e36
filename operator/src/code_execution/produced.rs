//! One changed file: from the executor into the store, then a `SandboxFile` that is Ready.

use std::{collections::BTreeMap, time::Duration};

use crds::{
    FilePhase, SandboxFile, SandboxFileSpec,
    code_execution::SkipReason,
    labels, names,
    names::BlobDigest,
    sandbox_file::{ByteSource, ProducedBytes},
};
use futures::{StreamExt as _, stream};
use kube::{Api, api::ObjectMeta};
use protocol::FileEntry;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::run::Job;
use crate::{
    executor_client::{CallError, Content, Target},
    key::Key,
    metrics::Kind,
    sandbox_file::status,
};

/// How often each part is tried.
const ATTEMPTS: u32 = 4;
/// A file of which no byte comes for so long is not waited for.
const IDLE: Duration = Duration::from_secs(30);

/// Why a changed file is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProducedError {
    /// The executor did not hand it over.
    #[error("the executor did not hand it over")]
    Executor(#[source] CallError),
    /// The store did not take it.
    #[error("the store did not take it")]
    Store(#[source] blobs::Error),
    /// What came is not what was announced.
    #[error("its bytes are not those that were announced")]
    Changed,
    /// Its object could not be written.
    #[error("its object could not be written")]
    Api(#[source] kube::Error),
    /// Its object exists and is another file's.
    #[error("its name is taken")]
    NameTaken,
}

impl ProducedError {
    pub(crate) fn reason(&self) -> SkipReason {
        match self {
            Self::Changed => SkipReason::ChangedWhileReading,
            Self::Executor(_) | Self::Store(_) | Self::Api(_) | Self::NameTaken => SkipReason::StoreFailed,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Executor(error) => !matches!(error, CallError::Refused(_) | CallError::NotLeader(_)),
            Self::Store(_) => true,
            Self::Api(error) => {
                !matches!(error, kube::Error::Api(status) if status.code < 500 && status.code != 409)
            }
            Self::Changed | Self::NameTaken => false,
        }
    }
}

/// Keeps a file. Doing it again after a restart finds what is there already.
pub(crate) async fn keep(
    job: &Job,
    target: &Target,
    index: usize,
    file: &FileEntry,
) -> Result<(), ProducedError> {
    let mut wait = Duration::from_millis(50);
    let mut attempt = 1;
    loop {
        let kept = async {
            fetch(job, target, index, file).await?;
            register(job, file).await
        };
        match kept.await {
            Err(error) if error.may_pass() && attempt < ATTEMPTS && !job.run.pod.gone.is_cancelled() => {
                tracing::info!(execution = %job.key, %error, attempt, "a changed file is tried again");
            }
            other => return other,
        }
        sleep(wait).await;
        (wait, attempt) = (wait * 2, attempt + 1);
    }
}

async fn fetch(job: &Job, target: &Target, index: usize, file: &FileEntry) -> Result<(), ProducedError> {
    let content =
        job.context.executor.file(target, &job.run.uid, index).await.map_err(ProducedError::Executor)?;
    let content = ending(content, job.run.pod.gone.clone(), IDLE);
    let stored = match job.context.blobs.put(content, file.size_bytes).await {
        Ok(stored) => stored,
        Err(blobs::Error::TooLarge { .. }) => return Err(ProducedError::Changed),
        Err(error) => return Err(ProducedError::Store(error)),
    };
    job.context.gc.touch(stored.digest.as_str());
    if stored.size_bytes == file.size_bytes && stored.digest.as_str() == file.sha256 {
        Ok(())
    } else {
        job.context.gc.consider(stored.digest.as_str());
        Err(ProducedError::Changed)
    }
}

/// The same bytes, but an error when no more of them come or the pod is gone.
fn ending(content: Content, gone: CancellationToken, idle: Duration) -> Content {
    let bytes = stream::unfold(Some((content, gone)), move |state| async move {
        let (mut content, gone) = state?;
        let next = tokio::select! {
            biased;
            next = timeout(idle, content.next()) => next,
            () = gone.cancelled() => return Some((Err("the pod is gone".into()), None)),
        };
        match next {
            Ok(chunk) => chunk.map(|chunk| (chunk, Some((content, gone)))),
            Err(elapsed) => Some((Err(elapsed.into()), None)),
        }
    });
    // Whoever reads it may ask once more after its end.
    bytes.fuse().boxed()
}

async fn register(job: &Job, file: &FileEntry) -> Result<(), ProducedError> {
    let context = &job.context;
    let object = object(job, file);
    let key = Key::of(&object.metadata);
    let written = match context.writes.create(Kind::SandboxFile, &key.namespace, &object).await {
        Ok(created) => created,
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let api: Api<SandboxFile> = Api::namespaced(context.client.clone(), &key.namespace);
            let existing = api.get(&key.name).await.map_err(ProducedError::Api)?;
            if existing.spec.source != object.spec.source {
                return Err(ProducedError::NameTaken);
            }
            existing
        }
        Err(error) => return Err(ProducedError::Api(error)),
    };
    let phase = written.status.as_ref().map(|status| status.phase).unwrap_or_default();
    if phase != FilePhase::Pending {
        return Ok(());
    }
    let ready = status::ready(&written, &file.sha256, file.size_bytes, context.clock.now());
    let version = written.metadata.resource_version.unwrap_or_default();
    let patched = context.writes.patch_status::<SandboxFile>(Kind::SandboxFile, &key, &version, &ready).await;
    patched.map(drop).map_err(ProducedError::Api)
}

fn object(job: &Job, file: &FileEntry) -> SandboxFile {
    let plan = &job.plan;
    let retention = job.context.pools.get(&plan.pool).map(|pool| pool.spec.file_retention_seconds);
    let expires = plan.output_ttl_seconds.and_then(|seconds| {
        job.context.clock.now().checked_add_signed(chrono::TimeDelta::try_seconds(seconds)?)
    });
    let base = file.path.rsplit('/').next().unwrap_or(&file.path);
    let mut marks = BTreeMap::from([
        (labels::EXECUTION_UID.to_owned(), job.run.uid.to_string()),
        (labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned()),
    ]);
    if let Ok(digest) = file.sha256.parse::<BlobDigest>() {
        marks.insert(labels::DIGEST.to_owned(), labels::digest_value(&digest));
    }
    let spec = SandboxFileSpec {
        file_name: base.to_owned(),
        isolation_key: plan.isolation_key.clone(),
        scope: plan.scope.as_deref().map(str::to_owned),
        collection: plan.collection.clone(),
        source: ByteSource {
            inline: None,
            staged: None,
            produced: Some(ProducedBytes { execution_uid: job.run.uid.to_string(), path: file.path.clone() }),
        },
        max_downloads: plan.max_downloads,
        expires_at: expires,
        retention_seconds: retention.unwrap_or(crds::limits::FILE_RETENTION_SECONDS),
        registration: 0,
    };
    let mut object = SandboxFile::new(&names::produced_file(&job.run.uid, &file.path), spec);
    object.metadata =
        ObjectMeta { namespace: Some(job.key.namespace.to_string()), labels: Some(marks), ..object.metadata };
    object
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn stuck() -> Content {
        stream::iter([Ok(Bytes::from_static(b"a"))]).chain(stream::pending()).boxed()
    }

    #[tokio::test]
    async fn a_file_that_stops_coming_is_an_error() {
        let chunks: Vec<_> =
            ending(stuck(), CancellationToken::new(), Duration::from_millis(5)).collect().await;
        assert!(matches!(chunks.as_slice(), [Ok(_), Err(_)]));
    }

    #[tokio::test]
    async fn what_a_pod_that_is_gone_had_sent_is_read_before_the_error() {
        let gone = CancellationToken::new();
        gone.cancel();
        let chunks: Vec<_> = ending(stuck(), gone, IDLE).collect().await;
        assert!(matches!(chunks.as_slice(), [Ok(_), Err(_)]));
    }
}
