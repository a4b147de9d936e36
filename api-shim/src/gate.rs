//! Who may come in, and the tenant each belongs to: from the headers of a request to the handles that it may use.

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderMap;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{Identity, Tokens, bearer},
    error::ShimError,
    tenant::Tenant,
    tenants::{TenantRules, Tenants},
    token_file::{self, TokenFile},
    token_review::Reviews,
};

/// How somebody shows who he is. It is what was configured, whatever becomes of the tokens.
#[derive(Debug)]
pub enum Credentials {
    /// Not at all.
    Nothing,
    /// With a configured token.
    Tokens(RwLock<Tokens>),
    /// With a token of Kubernetes.
    Reviews(Box<Reviews>),
}

/// The gate.
#[derive(Debug)]
pub struct Gate {
    credentials: Credentials,
    rules: Tenants,
    tenants: BTreeMap<String, Arc<Tenant>>,
}

/// Who sent a request, and where it belongs.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Who.
    pub identity: Identity,
    /// Where.
    pub tenant: Arc<Tenant>,
}

impl Gate {
    /// With a tenant for each of the rules.
    #[must_use]
    pub fn new(credentials: Credentials, rules: Tenants, make: impl Fn(&TenantRules) -> Tenant) -> Self {
        let tenants = rules.iter().map(|rules| (rules.namespace.clone(), Arc::new(make(rules)))).collect();
        Self { credentials, rules, tenants }
    }

    /// Lets a request with these headers in, or says why not.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<Admitted, ShimError> {
        match &self.credentials {
            Credentials::Nothing => self.identified(Identity::default()),
            Credentials::Tokens(tokens) => {
                let identity = tokens.read().identify(headers)?;
                self.identified(identity)
            }
            Credentials::Reviews(reviews) => {
                let token = bearer(headers).ok_or(ShimError::NotAuthenticated)?;
                let user = reviews.identify(token, &self.rules).await?;
                self.admitted(&user.namespace, Identity { scope: Some(user.scope) })
            }
        }
    }

    fn identified(&self, identity: Identity) -> Result<Admitted, ShimError> {
        let namespace = self.rules.of_identity(identity.scope.as_deref()).ok_or(ShimError::NoTenant)?;
        self.admitted(namespace, identity)
    }

    fn admitted(&self, namespace: &str, identity: Identity) -> Result<Admitted, ShimError> {
        let tenant = self.tenants.get(namespace).cloned().ok_or(ShimError::NoTenant)?;
        Ok(Admitted { identity, tenant })
    }

    /// Keeps the configured tokens as their file has them, when there is one.
    pub(crate) async fn follow_file(&self, file: Option<&TokenFile>, shutdown: CancellationToken) {
        if let (Credentials::Tokens(tokens), Some(file)) = (&self.credentials, file) {
            token_file::follow(file, tokens, shutdown).await;
        }
    }

    /// All tenants, that of everybody else first.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.rules.iter().filter_map(|rules| self.tenants.get(&rules.namespace))
    }
}
