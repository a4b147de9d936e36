//! Parts of a spec that are too long for it go to the store, and the spec refers to them. The bytes are only
//! staged here; the operator gives them their name when it sees the file.

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use crds::{
    CodeExecutionSpec, SandboxFile, SandboxFileSpec,
    sandbox_file::{ByteSource, StagedBytes},
};
use kube::{Api, api::PostParams};

use crate::{
    convert::{refer_to_part, take_long_parts},
    error::ShimError,
};

/// How long a staged part outlives the longest wait for its run; then it may be swept.
const KEPT: TimeDelta = TimeDelta::hours(2);

/// Puts long parts away.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The files of a tenant.
    pub files: Api<SandboxFile>,
    /// The bytes.
    pub blobs: blobs::Blobs,
}

impl Stage {
    /// Moves the long parts of a spec into files named after the execution.
    pub async fn long_parts(&self, spec: &mut CodeExecutionSpec, execution: &str) -> Result<(), ShimError> {
        for (part, text) in take_long_parts(spec) {
            let name = format!("{execution}-{}", part.word());
            self.store(&name, text, spec).await?;
            refer_to_part(spec, part, &name);
        }
        Ok(())
    }

    async fn store(&self, name: &str, text: String, spec: &CodeExecutionSpec) -> Result<(), ShimError> {
        let failed = |error: blobs::Error| ShimError::internal("storing a long part of a request", error);
        let content = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(text))]);
        let staged = self.blobs.stage(content, u64::MAX).await.map_err(failed)?;
        let file = SandboxFile::new(name, file_spec(name, &staged, spec));
        let created = self.files.create(&PostParams::default(), &file).await;
        created
            .map(drop)
            .map_err(|error| ShimError::internal("creating a file for a long part of a request", error))
    }
}

fn file_spec(name: &str, staged: &blobs::Staged, spec: &CodeExecutionSpec) -> SandboxFileSpec {
    let run = TimeDelta::milliseconds(spec.timeout_milliseconds);
    SandboxFileSpec {
        file_name: name.to_owned(),
        isolation_key: spec.isolation_key.clone(),
        scope: spec.scope.clone(),
        collection: Some("staged".to_owned()),
        source: ByteSource {
            staged: Some(StagedBytes {
                key: staged.key.as_str().to_owned(),
                sha256: staged.digest.as_str().to_owned(),
                size_bytes: i64::try_from(staged.size_bytes).unwrap_or(i64::MAX),
            }),
            ..ByteSource::default()
        },
        max_downloads: None,
        expires_at: Some(Utc::now() + run + KEPT),
        retention_seconds: crds::limits::FILE_RETENTION_SECONDS,
        registration: 0,
    }
}
