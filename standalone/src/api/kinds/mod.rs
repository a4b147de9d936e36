//! What is served: every kind with its names, scope, subresources, selectable fields and columns.
//! Not here: what the verbs do with them.

pub(crate) mod builtin;
pub(crate) mod custom;
pub(crate) mod events_view;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(crate) use self::custom::{Custom, ScalePaths};
use crate::api::{store::ResourceId, table::columns::Column};

/// What makes a kind special. Everything else about it is data.
#[derive(Debug)]
pub(crate) enum Class {
    Custom(Box<Custom>),
    Pod,
    Claim,
    Namespace,
    Secret,
    ConfigMap,
    /// The stored form of events, core/v1.
    Event,
    /// The same events as events.k8s.io/v1 shows them.
    EventView,
    Lease,
    Definition,
}

/// One served kind in one version.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "kind is what Kubernetes calls it")]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) read_only: bool,
    pub(crate) has_status: bool,
    pub(crate) selectable: Vec<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) resource: ResourceId,
    pub(crate) class: Class,
}

impl Kind {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `codeexecutions.carrel.dev`, or `pods`.
    pub(crate) fn qualified_resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The group of the kind that it is stored as.
    pub(crate) fn stored_group(&self) -> &str {
        self.resource.split('/').next().unwrap_or_default()
    }

    pub(crate) fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    pub(crate) fn custom(&self) -> Option<&Custom> {
        match &self.class {
            Class::Custom(custom) => Some(custom),
            _ => None,
        }
    }

    /// What discovery calls the form in which objects are stored.
    pub(crate) fn storage_version_hash(&self) -> String {
        let stored = format!("{}/{}/{}", self.group, self.version, self.kind);
        let hash: [u8; 32] = Sha256::digest(stored).into();
        STANDARD.encode(hash.get(..8).unwrap_or_default())
    }

    pub(crate) fn scale(&self) -> Option<&ScalePaths> {
        self.custom().and_then(|custom| custom.scale.as_ref())
    }

    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.read_only {
            &["get", "list", "watch"]
        } else if self.custom().is_some() {
            &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
        } else {
            &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        }
    }

    /// The stored path of a selectable field.
    pub(crate) fn selectable(&self, field: &str) -> Option<Vec<String>> {
        let split = |path: &str| path.split('.').map(str::to_owned).collect();
        match field {
            "metadata.name" => return Some(split(field)),
            "metadata.namespace" if self.namespaced => return Some(split(field)),
            _ => {}
        }
        let known = self.selectable.iter().any(|one| one == field);
        let stored = match self.class {
            Class::EventView => events_view::stored_path(field),
            _ => field.to_owned(),
        };
        known.then(|| split(&stored))
    }

    /// An object as this kind shows it, when that is not how it is stored.
    pub(crate) fn view(&self, stored: &Value) -> Option<Value> {
        matches!(self.class, Class::EventView).then(|| events_view::from_stored(stored))
    }
}

/// All served kinds.
#[derive(Debug)]
pub(crate) struct Registry {
    kinds: Vec<Arc<Kind>>,
}

impl Registry {
    pub(crate) fn new(custom: Vec<Kind>) -> Self {
        Self { kinds: builtin::all().into_iter().chain(custom).map(Arc::new).collect() }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.iter()
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.kinds.iter().find(|kind| kind.plural == plural && kind.group == group && kind.version == version)
    }

    /// The kind that a resource is stored as.
    pub(crate) fn stored(&self, resource: &str) -> Option<&Arc<Kind>> {
        self.kinds.iter().find(|kind| &*kind.resource == resource && !matches!(kind.class, Class::EventView))
    }

    /// Group versions in the order discovery shows them, the core group first.
    pub(crate) fn group_versions(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        for kind in &self.kinds {
            let pair = (kind.group.clone(), kind.version.clone());
            if !found.contains(&pair) {
                found.push(pair);
            }
        }
        for (group, version) in [("authentication.k8s.io", "v1"), ("authorization.k8s.io", "v1")] {
            found.push((group.to_owned(), version.to_owned()));
        }
        found
    }
}
