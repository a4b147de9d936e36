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
use protocol::{ErrorCode, FileEntry};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::run::Job;
use crate::{
    backoff,
    executor_client::{CallError, Content, Target},
    key::Key,
    leader::term::NotLeader,
    metrics::Kind,
    sandbox_file::status,
};

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(1);
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

    /// Whether trying again can help.
    fn hope(&self) -> Hope {
        match self {
            Self::Executor(CallError::NotLeader(_)) => Hope::Leading,
            Self::Executor(CallError::Refused(body)) => match body.code {
                ErrorCode::OldEpoch | ErrorCode::TokenExpired | ErrorCode::Internal => Hope::InTime,
                _ => Hope::None,
            },
            Self::Api(error) if NotLeader::is(error) => Hope::Leading,
            Self::Api(kube::Error::Api(status)) => match status.code {
                401 | 409 | 429 | 500.. => Hope::InTime,
                403 if backoff::missing_right(status) => Hope::InTime,
                _ => Hope::None,
            },
            Self::Executor(_) | Self::Store(_) | Self::Api(_) => Hope::InTime,
            Self::Changed | Self::NameTaken => Hope::None,
        }
    }
}

/// Whether a failure may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hope {
    /// It will fail again.
    None,
    /// It may pass, but nobody waits for ever.
    InTime,
    /// As long as this operator does not lead it may neither ask nor judge: it leads again, or its successor does
    /// this again from the start.
    Leading,
}

/// The two steps of keeping a file. What is fetched needs its pod no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Fetch,
    Register,
}

/// Keeps a file. A failure of the platform is tried again until `until`. Doing it again after a restart finds what is
/// there already.
pub(crate) async fn keep(
    job: &Job,
    target: &Target,
    index: usize,
    file: &FileEntry,
    until: Instant,
) -> Result<(), ProducedError> {
    for part in [Part::Fetch, Part::Register] {
        let (mut wait, mut attempt) = (FIRST_RETRY, 1);
        loop {
            let done = match part {
                Part::Fetch => fetch(job, target, index, file).await,
                Part::Register => register(job, file).await,
            };
            let Err(error) = done else { break };
            let hopeless = part == Part::Fetch && job.run.pod.gone.is_cancelled();
            let again = match error.hope() {
                Hope::None => false,
                Hope::InTime => !hopeless && Instant::now() < until,
                Hope::Leading => !hopeless,
            };
            log(job, part, attempt, &error, again);
            if !again {
                return Err(error);
            }
            sleep(wait).await;
            (wait, attempt) = ((wait * 2).min(LAST_RETRY), attempt + 1);
        }
    }
    Ok(())
}

fn log(job: &Job, part: Part, attempt: u32, error: &ProducedError, again: bool) {
    tracing::warn!(
        execution = %job.key,
        uid = %job.run.uid,
        request_id = job.origin.request_id,
        pod = %job.run.pod.facts().key,
        step = ?part,
        attempt,
        again,
        error = %telemetry::with_causes(error),
        "a changed file could not be kept"
    );
}

async fn fetch(job: &Job, target: &Target, index: usize, file: &FileEntry) -> Result<(), ProducedError> {
    let content =
        job.context.executor.file(target, &job.run.uid, index).await.map_err(ProducedError::Executor)?;
    let content = ending(content, job.run.pod.gone.clone(), IDLE);
    // Staged first: a pod may be slow, and the deletion of other bytes waits while these are put in place.
    let staged = match job.context.blobs.stage(content, file.size_bytes).await {
        Ok(staged) => staged,
        Err(blobs::Error::TooLarge { .. }) => return Err(ProducedError::Changed),
        Err(error) => return Err(ProducedError::Store(error)),
    };
    let as_announced = staged.size_bytes == file.size_bytes && staged.digest.as_str() == file.sha256;
    let placed = if as_announced {
        let _placing = job.context.gc.placing().await;
        let placed = job.context.blobs.promote(&staged).await;
        placed.map(|digest| job.context.gc.touch(digest.as_str())).map_err(ProducedError::Store)
    } else {
        Err(ProducedError::Changed)
    };
    if placed.is_err()
        && let Err(error) = job.context.blobs.discard(&staged.key).await
    {
        tracing::debug!(%error, "staged bytes were not discarded; they are swept later");
    }
    placed
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

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let refused = |code| {
            let body = protocol::ErrorBody { code, message: String::new(), field: None, epoch: None };
            ProducedError::Executor(CallError::Refused(Box::new(body)))
        };
        let api = |code| {
            let status = kube::core::Status { code, ..kube::core::Status::default() };
            ProducedError::Api(kube::Error::Api(status.boxed()))
        };
        for (error, hope) in [
            (ProducedError::Executor(CallError::NotLeader(NotLeader)), Hope::Leading),
            (ProducedError::Executor(CallError::Broken("x".into())), Hope::InTime),
            (refused(ErrorCode::OldEpoch), Hope::InTime),
            (refused(ErrorCode::TokenExpired), Hope::InTime),
            (refused(ErrorCode::UnknownExecution), Hope::None),
            (refused(ErrorCode::WrongPod), Hope::None),
            (ProducedError::Store(blobs::Error::NotFound), Hope::InTime),
            (ProducedError::Api(NotLeader.into()), Hope::Leading),
            (api(409), Hope::InTime),
            (api(429), Hope::InTime),
            (api(503), Hope::InTime),
            (api(403), Hope::None),
            (api(422), Hope::None),
            (ProducedError::Changed, Hope::None),
            (ProducedError::NameTaken, Hope::None),
        ] {
            assert_eq!(error.hope(), hope, "{error:?}");
        }
    }

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
