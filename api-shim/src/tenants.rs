//! Which tenant an identity belongs to, as configured. A tenant is a namespace. Pure: what a tenant has at work is in
//! `tenant.rs`, and who somebody is has been found out in `auth.rs` or `token_review.rs`.

use std::collections::BTreeSet;

use serde::Deserialize;

/// What fits `spec.scope`.
pub const MAX_IDENTITY_LENGTH: usize = 253;

/// How the user names of service accounts begin.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// One tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantRules {
    /// Where everything of it is.
    pub namespace: String,
    /// Identities of configured tokens, or names of Kubernetes users.
    #[serde(default)]
    pub identities: BTreeSet<String>,
    /// Groups of Kubernetes users.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// The pool that runs its executions, when it is not that of the settings.
    #[serde(default)]
    pub pool: Option<String>,
}

impl TenantRules {
    /// What is wrong with which field.
    fn check(&self, earlier: &[Self]) -> Result<(), (&'static str, String)> {
        let Self { namespace, identities, groups, pool } = self;
        if !is_name(namespace) {
            return Err(("namespace", format!("{namespace:?} is no name of a namespace")));
        }
        if earlier.iter().any(|other| other.namespace == *namespace) {
            return Err(("namespace", format!("{namespace:?} is named twice")));
        }
        if let Some(pool) = pool.as_ref().filter(|pool| !is_name(pool)) {
            return Err(("pool", format!("{pool:?} is no name of a pool")));
        }
        for (field, names) in [("identities", identities), ("groups", groups)] {
            if let Some(bad) = names.iter().find(|name| !is_identity(name)) {
                return Err((
                    field,
                    format!("{bad:?} is empty or longer than {MAX_IDENTITY_LENGTH} characters"),
                ));
            }
        }
        let both = |field, ours: &BTreeSet<String>, theirs, namespace: &str| {
            let both = ours.intersection(theirs).next()?;
            Some((field, format!("{both:?} is already in the tenant {namespace:?}")))
        };
        let twice = earlier.iter().find_map(|other| {
            both("identities", identities, &other.identities, &other.namespace)
                .or_else(|| both("groups", groups, &other.groups, &other.namespace))
        });
        twice.map_or(Ok(()), Err)
    }
}

/// All tenants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// Where those are who are in no tenant, when there is such a place.
    #[serde(default)]
    default: Option<String>,
    tenants: Vec<TenantRules>,
}

/// Why a file of tenants cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct TenantsError {
    /// The field, for instance `tenants[1].namespace`.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl Tenants {
    /// Everybody in one namespace.
    #[must_use]
    pub fn one(namespace: &str) -> Self {
        let tenant = TenantRules { namespace: namespace.to_owned(), ..TenantRules::default() };
        Self { default: Some(namespace.to_owned()), tenants: vec![tenant] }
    }

    /// Those of a file: `{"default": "a", "tenants": [{"namespace": "a", "identities": ["alice"]}]}`.
    pub fn parse(content: &str) -> Result<Self, TenantsError> {
        let mut json = serde_json::Deserializer::from_str(content);
        let tenants: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { "the file".to_owned() } else { path };
            TenantsError { field, why: error.into_inner().to_string() }
        })?;
        json.end().map_err(|error| refused("the file", error.to_string()))?;
        tenants.check()?;
        Ok(tenants)
    }

    fn check(&self) -> Result<(), TenantsError> {
        if self.tenants.is_empty() {
            return Err(refused("tenants", "there is none"));
        }
        for (index, tenant) in self.tenants.iter().enumerate() {
            let earlier = self.tenants.get(..index).unwrap_or_default();
            tenant
                .check(earlier)
                .map_err(|(field, why)| refused(format!("tenants[{index}].{field}"), why))?;
        }
        let known = |default: &String| self.tenants.iter().any(|tenant| tenant.namespace == *default);
        match self.default.as_ref().filter(|default| !known(default)) {
            Some(default) => Err(refused("default", format!("{default:?} is the namespace of no tenant"))),
            None => Ok(()),
        }
    }

    /// All of them, that of everybody else first: what is asked of only one is asked of that.
    pub fn iter(&self) -> impl Iterator<Item = &TenantRules> {
        let is_default = |tenant: &&TenantRules| Some(&tenant.namespace) == self.default.as_ref();
        let first = self.tenants.iter().find(is_default);
        first.into_iter().chain(self.tenants.iter().filter(move |tenant| !is_default(tenant)))
    }

    /// Whether there is a place for those who are in no tenant.
    #[must_use]
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// The namespace of whoever a configured token stands for; of nobody in particular without authentication.
    #[must_use]
    pub fn of_identity(&self, identity: Option<&str>) -> Option<&str> {
        let named = identity.and_then(|identity| self.naming(identity));
        named.or(self.default.as_deref())
    }

    /// The namespace of a Kubernetes user: where its name is, or one of its groups, or for a service account its own
    /// namespace, if that is a tenant's. There is no place for everybody else: that a cluster knows a user does not mean
    /// that the user shall run programs.
    #[must_use]
    pub fn of_user(&self, name: &str, groups: &[String]) -> Option<&str> {
        let by_group = || {
            let has_group = |tenant: &&TenantRules| groups.iter().any(|group| tenant.groups.contains(group));
            self.tenants.iter().find(has_group).map(|tenant| tenant.namespace.as_str())
        };
        let own = || {
            let (own, _) = name.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
            self.tenants.iter().find(|tenant| tenant.namespace == own).map(|tenant| tenant.namespace.as_str())
        };
        self.naming(name).or_else(by_group).or_else(own)
    }

    fn naming(&self, identity: &str) -> Option<&str> {
        let tenant = self.tenants.iter().find(|tenant| tenant.identities.contains(identity));
        tenant.map(|tenant| tenant.namespace.as_str())
    }
}

fn refused(field: impl Into<String>, why: impl Into<String>) -> TenantsError {
    TenantsError { field: field.into(), why: why.into() }
}

fn is_identity(name: &str) -> bool {
    (1..=MAX_IDENTITY_LENGTH).contains(&name.chars().count())
}

/// A DNS label.
fn is_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    plain && (1..=63).contains(&name.len()) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
#[path = "tenants_tests.rs"]
mod tests;
