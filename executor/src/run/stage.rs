//! Step 1: the inputs' bytes from the request into the workspace, hashed on the way.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use protocol::StartFailure;
use sha2::{Digest as _, Sha256};

use crate::{
    body::{BodyError, RequestBody},
    request::Input,
    snapshot::Before,
    workspace::Workspace,
};

/// Why the inputs are not there.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StageError {
    #[error("receiving the inputs: {0}")]
    Body(#[from] Arc<BodyError>),
    #[error("writing the input: {source}")]
    Write { index: usize, source: Arc<io::Error> },
    #[error("the input's content has SHA-256 {found}")]
    WrongHash { index: usize, found: String },
}

impl StageError {
    /// The field of the request at fault.
    pub(crate) fn field(&self) -> Option<String> {
        match self {
            Self::Body(_) => None,
            Self::Write { index, .. } => Some(format!("inputs[{index}]")),
            Self::WrongHash { index, .. } => Some(format!("inputs[{index}].sha256")),
        }
    }
}

impl StageError {
    /// What kind of failure it is.
    pub(crate) fn cause(&self) -> StartFailure {
        match self {
            Self::Body(_) => StartFailure::Transfer,
            Self::WrongHash { .. } => StartFailure::InvalidInput,
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::InvalidFilename
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::AlreadyExists => StartFailure::InvalidInput,
                _ => super::failed(source, StartFailure::Internal),
            },
        }
    }
}

impl From<BodyError> for StageError {
    fn from(error: BodyError) -> Self {
        Self::Body(Arc::new(error))
    }
}

/// Stages all inputs and checks that the body ends with them.
pub(crate) async fn inputs(
    workspace: &Workspace,
    inputs: &[Input],
    mut body: RequestBody,
) -> Result<Before, StageError> {
    let mut before = Before::default();
    for (index, input) in inputs.iter().enumerate() {
        let found = stage(workspace, index, input, &mut body).await?;
        if input.sha256.as_ref().is_some_and(|expected| *expected != found) {
            return Err(StageError::WrongHash { index, found });
        }
        before.insert(&input.path, input.size_bytes, found);
    }
    body.end().await?;
    Ok(before)
}

async fn stage(
    workspace: &Workspace,
    index: usize,
    input: &Input,
    body: &mut RequestBody,
) -> Result<String, StageError> {
    let failed = |source| StageError::Write { index, source: Arc::new(source) };
    let mut file = workspace.create(&input.path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut left = input.size_bytes;
    while left > 0 {
        let bytes = body.bytes(left).await?;
        // Into the page cache: short enough to do in place, and this executor has nothing else to do.
        file.write_all(&bytes).map_err(failed)?;
        hasher.update(&bytes);
        left -= bytes.len() as u64;
    }
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::paths::RelativePath;

    fn input(path: &str, size_bytes: u64, sha256: Option<&str>) -> Input {
        let sha256 = sha256.map(str::to_owned);
        Input { path: RelativePath::parse(path).unwrap(), size_bytes, sha256 }
    }

    async fn stage_from(
        body: &'static str,
        list: &[Input],
    ) -> (tempfile::TempDir, Result<Before, StageError>) {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        let result = inputs(&workspace, list, RequestBody::new(Body::from(body))).await;
        (dir, result)
    }

    #[tokio::test]
    async fn the_body_is_dealt_out_in_order() {
        let hash = hex::encode(Sha256::digest(b"bb"));
        let list = [input("a", 1, None), input("empty", 0, None), input("d/b", 2, Some(&hash))];
        let (dir, result) = stage_from("abb", &list).await;
        result.unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("a"), read("empty"), read("d/b")), ("a".to_owned(), String::new(), "bb".to_owned()));
    }

    #[tokio::test]
    async fn a_wrong_hash_names_its_input() {
        let (_dir, result) = stage_from("ab", &[input("a", 1, None), input("b", 1, Some("00"))]).await;
        let error = result.unwrap_err();
        assert_eq!(error.field().as_deref(), Some("inputs[1].sha256"));
        assert_eq!(error.cause(), StartFailure::InvalidInput);
    }

    #[test]
    fn the_kind_of_a_failed_write_says_whose_fault_it_is() {
        for (kind, cause) in [
            (io::ErrorKind::StorageFull, StartFailure::DiskFull),
            (io::ErrorKind::QuotaExceeded, StartFailure::DiskFull),
            (io::ErrorKind::InvalidFilename, StartFailure::InvalidInput),
            (io::ErrorKind::NotADirectory, StartFailure::InvalidInput),
            (io::ErrorKind::PermissionDenied, StartFailure::Internal),
        ] {
            let error = StageError::Write { index: 0, source: Arc::new(kind.into()) };
            assert_eq!(error.cause(), cause, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_body_of_another_length_is_refused() {
        for body in ["a", "abc"] {
            let (_dir, result) = stage_from(body, &[input("a", 2, None)]).await;
            assert!(matches!(result, Err(StageError::Body(_))));
        }
    }
}
