//! References between our objects: always by name, always within one namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of another object of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct LocalReference {
    /// The object's `metadata.name`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

impl LocalReference {
    /// A reference to the object of that name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}
