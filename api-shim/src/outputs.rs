//! What a status only refers to: long output and long lists of files, read back from the store.

use blobs::{Blobs, Digest};
use crds::{
    CodeExecutionStatus,
    code_execution::{OutputFile, OutputText},
    limits,
};

use crate::error::ShimError;

/// A kept text may have grown threefold by replacement characters.
const MAX_TEXT_BYTES: u64 = 3 * limits::MAX_OUTPUT_BYTES.unsigned_abs();
/// A list of a thousand files with the longest paths.
const MAX_LIST_BYTES: u64 = 16 * 1024 * 1024;

/// Reads stored parts of a status.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// The bytes.
    pub blobs: Blobs,
}

impl Outputs {
    /// The whole kept text of a stream.
    pub async fn text(&self, stream: Option<&OutputText>) -> Result<String, ShimError> {
        let Some(stream) = stream else { return Ok(String::new()) };
        let Some(stored) = &stream.stored_as else { return Ok(stream.text.clone()) };
        let bytes = self.read(stored, MAX_TEXT_BYTES).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// All changed files.
    pub async fn files(&self, status: &CodeExecutionStatus) -> Result<Vec<OutputFile>, ShimError> {
        let Some(stored) = &status.files_stored_as else { return Ok(status.files.clone()) };
        let bytes = self.read(stored, MAX_LIST_BYTES).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ShimError::internal("reading a stored list of files", error))
    }

    async fn read(&self, digest: &str, most: u64) -> Result<bytes::Bytes, ShimError> {
        let digest: Digest = digest
            .parse()
            .map_err(|error: blobs::InvalidDigest| ShimError::internal("reading stored output", error))?;
        self.blobs
            .get_bytes(&digest, most)
            .await
            .map_err(|error| ShimError::internal("reading stored output", error))
    }
}
