//! Ids of input files → sources of a spec. An id is checked for form before any lookup, and is usable only
//! in its own scope, chat and dialect (contract, sections 4.1 and 4.2).

use chrono::{DateTime, Utc};
use crds::{FilePhase, SandboxFile, code_execution::InputFile, labels, names::BlobDigest};
use futures::future::join_all;
use kube::{Api, api::ListParams};
use uuid::Uuid;

use crate::{
    convert::{ONYX_COLLECTION, hashed_input, stored_input},
    dialect::{bee::BeeInput, onyx::OnyxInput},
    error::ShimError,
};

/// Lookups at a time for one request.
const PARALLEL: usize = 8;

/// Finds files.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The files of a tenant.
    pub files: Api<SandboxFile>,
}

/// Whose files may be used.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The identity.
    pub scope: Option<&'a str>,
    /// The chat, in bee/tgpt.
    pub chat: Option<&'a str>,
    /// The present.
    pub now: DateTime<Utc>,
}

impl Inputs {
    /// The bee/tgpt inputs, or the 404 of the first that cannot be used.
    pub async fn by_hash(&self, inputs: &[BeeInput], owner: Owner<'_>) -> Result<Vec<InputFile>, ShimError> {
        let mut found = Vec::with_capacity(inputs.len());
        for few in inputs.chunks(PARALLEL) {
            let lookups: Vec<_> = few.iter().map(|input| self.one_by_hash(input, owner)).collect();
            // The error of the earliest one in the list wins.
            for result in join_all(lookups).await {
                found.push(result?);
            }
        }
        Ok(found)
    }

    /// Checks that every onyx id names a usable file; the 404 of the first that does not.
    pub async fn by_id(&self, inputs: &[OnyxInput], owner: Owner<'_>) -> Result<(), ShimError> {
        for few in inputs.chunks(PARALLEL) {
            let lookups: Vec<_> = few.iter().map(|input| self.one_by_id(input, owner)).collect();
            join_all(lookups).await.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    async fn one_by_hash(&self, input: &BeeInput, owner: Owner<'_>) -> Result<InputFile, ShimError> {
        match input.id.parse::<BlobDigest>() {
            Ok(digest) if self.has_hash(&digest, owner).await? => {
                Ok(hashed_input(input.path.clone(), digest.as_str()))
            }
            _ => Err(ShimError::BeeFileNotFound { path: input.key.clone() }),
        }
    }

    async fn one_by_id(&self, input: &OnyxInput, owner: Owner<'_>) -> Result<(), ShimError> {
        if self.has_id(&input.file_id, owner).await? {
            return Ok(());
        }
        Err(ShimError::OnyxFileNotFound { id: input.file_id.clone(), path: input.path.clone() })
    }

    async fn has_hash(&self, digest: &BlobDigest, owner: Owner<'_>) -> Result<bool, ShimError> {
        let selector = format!("{}={}", labels::DIGEST, labels::digest_value(digest));
        let found = self.files.list(&ListParams::default().labels(&selector)).await;
        let found = found.map_err(|error| ShimError::internal("looking for an input file", error))?;
        Ok(found.iter().any(|file| is_live_hash(file, digest, owner)))
    }

    async fn has_id(&self, id: &str, owner: Owner<'_>) -> Result<bool, ShimError> {
        if !is_file_id(id) {
            return Ok(false);
        }
        let found = self.files.get_opt(id).await;
        let found = found.map_err(|error| ShimError::internal("looking for an input file", error))?;
        Ok(found.is_some_and(|file| {
            file.spec.collection.as_deref() == Some(ONYX_COLLECTION) && is_live(&file, owner)
        }))
    }
}

/// The form in which we make ids; anything else is simply not found.
fn is_file_id(id: &str) -> bool {
    Uuid::try_parse(id).is_ok_and(|parsed| parsed.hyphenated().to_string() == id)
}

fn is_live_hash(file: &SandboxFile, digest: &BlobDigest, owner: Owner<'_>) -> bool {
    let status = file.status.as_ref();
    let same_bytes = status.is_some_and(|status| status.sha256.as_deref() == Some(digest.as_str()));
    let same_chat = file.spec.isolation_key.as_deref() == owner.chat && file.spec.collection.is_none();
    same_bytes && same_chat && is_live(file, owner)
}

fn is_live(file: &SandboxFile, owner: Owner<'_>) -> bool {
    let Some(status) = &file.status else { return false };
    let expired = file.spec.expires_at.is_some_and(|end| end <= owner.now);
    let exhausted = status.remaining_downloads == Some(0);
    status.phase == FilePhase::Ready && !expired && !exhausted && file.spec.scope.as_deref() == owner.scope
}

/// The sources of onyx inputs whose ids were checked.
#[must_use]
pub fn onyx_sources(targets: Vec<(String, String)>) -> Vec<InputFile> {
    targets.into_iter().map(|(path, id)| stored_input(path, &id)).collect()
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;
