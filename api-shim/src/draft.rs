//! What is to be run, and for whom: a request after its checks, before its object.

use crds::CodeExecutionSpec;

use crate::{budget::Reservation, error::ShimError, executions::Origin};

/// What is to be run, and for whom.
#[derive(Debug)]
pub struct Draft {
    /// The spec, with its long parts still in it.
    pub spec: CodeExecutionSpec,
    /// Which request it comes from.
    pub origin: Origin,
    /// What the inputs were called by the client, in the order of `spec.files`.
    pub inputs: Vec<InputName>,
    /// The memory that all this takes, until the object is created.
    pub held: Option<Reservation>,
}

impl Draft {
    /// With the memory that it takes.
    #[must_use]
    pub fn holding(self, held: Reservation) -> Self {
        Self { held: Some(held), ..self }
    }
}

/// How an error names an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputName {
    /// By the key of `files`.
    Bee(String),
    /// By id and path.
    Onyx {
        /// The id.
        id: String,
        /// The path.
        path: String,
    },
}

impl InputName {
    /// The 404 of this input.
    #[must_use]
    pub fn not_found(self) -> ShimError {
        match self {
            Self::Bee(path) => ShimError::BeeFileNotFound { path },
            Self::Onyx { id, path } => ShimError::OnyxFileNotFound { id, path },
        }
    }
}
