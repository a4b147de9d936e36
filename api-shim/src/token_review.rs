//! Bearer tokens of Kubernetes: the API says whose a token is (`TokenReview`) and whether that user may create executions
//! in the tenant's namespace (`SubjectAccessReview`), so access is given and taken by Kubernetes' own rules. What it
//! says is remembered for a short while (`verdicts.rs`). Tokens are never logged and never kept.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    audience::is_for_others,
    error::ShimError,
    metrics::Metrics,
    tenants::{MAX_IDENTITY_LENGTH, Tenants},
    verdicts::{Refusal, TokenHash, Verdict, Verdicts},
};

/// Tokens that are asked about at a time: whoever makes tokens up must not flood the API through us.
const PLACES: usize = 12;
/// Further ones, for tokens that were good a short while ago: users who are known do not wait behind made-up tokens.
const PLACES_OF_KNOWN: usize = 4;
/// For a place and both answers of the API.
const PATIENCE: Duration = Duration::from_secs(5);
/// `Retry-After` when the API does not answer.
const RETRY_AFTER_SECONDS: u64 = 2;
/// How the scope of a user begins whose name is too long for one.
const HASHED: &str = "sha256:";

/// Who a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What separates this user's objects from those of others.
    pub scope: String,
    /// The namespace of the tenant that the user is in.
    pub namespace: String,
}

/// Asks the API about tokens.
pub struct Reviews {
    tokens: Api<TokenReview>,
    access: Api<SubjectAccessReview>,
    /// What tokens have to be for; the API server itself when it is not said.
    audience: Option<String>,
    verdicts: Mutex<Verdicts>,
    places: Semaphore,
    places_of_known: Semaphore,
    metrics: Metrics,
}

impl std::fmt::Debug for Reviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviews").field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// Why nobody knows.
#[derive(Debug, thiserror::Error)]
enum ReviewError {
    /// The API refused or failed.
    #[error("the API does not say {question}{}", next_step(source))]
    Api {
        /// What was asked.
        question: &'static str,
        /// Why there is no answer.
        source: kube::Error,
    },
    /// It did not answer.
    #[error("the API did not say in time whose a token is")]
    Timeout,
}

/// What an admin has to do, where we know it.
fn next_step(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => {
            "; bind the ClusterRole system:auth-delegator to the service account of the HTTP front"
        }
        _ => "",
    }
}

impl Reviews {
    /// Of a cluster.
    #[must_use]
    pub fn new(client: Client, audience: Option<String>, metrics: Metrics) -> Self {
        Self {
            tokens: Api::all(client.clone()),
            access: Api::all(client),
            audience,
            verdicts: Mutex::default(),
            places: Semaphore::new(PLACES),
            places_of_known: Semaphore::new(PLACES_OF_KNOWN),
            metrics,
        }
    }

    /// Who a token stands for, and where.
    pub async fn identify(&self, token: &str, tenants: &Tenants) -> Result<User, ShimError> {
        let hash: TokenHash = Sha256::digest(token.as_bytes()).into();
        if let Some(verdict) = self.known(&hash) {
            return Ok(verdict?);
        }
        if self.audience.as_deref().is_some_and(|audience| is_for_others(token, audience)) {
            return Err(Refusal::Invalid.into());
        }
        let asked = tokio::time::timeout(PATIENCE, self.ask(hash, token, tenants)).await;
        let verdict = asked.unwrap_or(Err(ReviewError::Timeout)).map_err(|error| ShimError::Unavailable {
            why: telemetry::with_causes(&error),
            retry_after_seconds: RETRY_AFTER_SECONDS,
        })?;
        Ok(verdict?)
    }

    fn known(&self, hash: &TokenHash) -> Option<Verdict> {
        self.verdicts.lock().get(hash, Instant::now())
    }

    async fn ask(&self, hash: TokenHash, token: &str, tenants: &Tenants) -> Result<Verdict, ReviewError> {
        let _place = self.place(&hash).await;
        // Others may have asked about the same token meanwhile.
        if let Some(verdict) = self.known(&hash) {
            return Ok(verdict);
        }
        let begin = Instant::now();
        let verdict = self.review(token, tenants).await?;
        self.metrics.authenticated(begin.elapsed().as_secs_f64());
        if verdict.is_err() {
            self.metrics.review_refused();
        }
        self.verdicts.lock().put(hash, verdict.clone(), Instant::now());
        Ok(verdict)
    }

    /// A place to ask about a token. The semaphores are never closed.
    async fn place(&self, hash: &TokenHash) -> Option<SemaphorePermit<'_>> {
        if !self.verdicts.lock().was_good(hash, Instant::now()) {
            return self.places.acquire().await.ok();
        }
        tokio::select! {
            // Those of everybody first, while there are some.
            biased;
            place = self.places.acquire() => place.ok(),
            place = self.places_of_known.acquire() => place.ok(),
        }
    }

    async fn review(&self, token: &str, tenants: &Tenants) -> Result<Verdict, ReviewError> {
        let Some(user) = self.user(token).await? else { return Ok(Err(Refusal::Invalid)) };
        let name = user.username.clone().unwrap_or_default();
        let groups = user.groups.clone().unwrap_or_default();
        let Some(namespace) = tenants.of_user(&name, &groups).map(str::to_owned) else {
            tracing::info!(user = name, "a user of Kubernetes is in no tenant");
            return Ok(Err(Refusal::NoTenant));
        };
        if !self.may_create(user, &namespace).await? {
            tracing::info!(user = name, namespace, "a user may not create codeexecutions.carrel.dev");
            return Ok(Err(Refusal::Forbidden));
        }
        Ok(Ok(User { scope: scope(&name), namespace }))
    }

    /// Whose a token is; nobody's when it is not valid, or for somebody else.
    async fn user(&self, token: &str) -> Result<Option<UserInfo>, ReviewError> {
        let audiences = self.audience.clone().map(|audience| vec![audience]);
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), audiences },
            ..TokenReview::default()
        };
        let answer = self.tokens.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|source| ReviewError::Api { question: "whose a token is", source })?;
        let status = answer.status.filter(|status| status.authenticated == Some(true));
        let Some(status) = status else { return Ok(None) };
        // A server that does not know audiences says nothing about them, and then it has not checked them. Here that is
        // a refusal, because the token alone lets its user run code. The operator's internal port lets such a token in
        // (`operator/src/live_server.rs`); it shows what the token's user could read from the API itself.
        let named = |audience: &String| status.audiences.iter().flatten().any(|named| named == audience);
        let for_us = self.audience.as_ref().is_none_or(named);
        let named = |user: &UserInfo| user.username.as_ref().is_some_and(|name| !name.is_empty());
        Ok(status.user.filter(named).filter(|_| for_us))
    }

    async fn may_create(&self, user: UserInfo, namespace: &str) -> Result<bool, ReviewError> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                groups: user.groups,
                uid: user.uid,
                extra: user.extra.map(BTreeMap::from_iter),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(crds::GROUP.to_owned()),
                    resource: Some("codeexecutions".to_owned()),
                    namespace: Some(namespace.to_owned()),
                    verb: Some("create".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = self.access.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|source| ReviewError::Api { question: "what a user may do", source })?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// A user's name, or its hash where it is longer than a scope may be. A name that looks like such a hash is hashed
/// too, so that nobody is taken for somebody else.
fn scope(name: &str) -> String {
    if name.chars().count() <= MAX_IDENTITY_LENGTH && !name.starts_with(HASHED) {
        return name.to_owned();
    }
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    digest.iter().fold(HASHED.to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use axum::body::Body;
    use http::{Request, Response};
    use prometheus_client::registry::Registry;
    use serde_json::{Value, json};
    use tokio::task::JoinSet;

    use super::*;

    /// An API that knows one token, whose user may do everything, and never says anything of another.
    fn api() -> Client {
        let answer = |request: Request<kube::client::Body>| async move {
            let is_token = request.uri().path().ends_with("/tokenreviews");
            let bytes = request.into_body().collect_bytes().await.expect("a body");
            let mut review: Value = serde_json::from_slice(&bytes).expect("JSON");
            if is_token && review["spec"]["token"] != "known" {
                std::future::pending::<()>().await;
            }
            review["status"] = json!({"allowed": true, "authenticated": true, "user": {"username": "alice"}});
            Ok::<_, Infallible>(Response::new(Body::from(review.to_string())))
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn whoever_was_let_in_does_not_wait_behind_made_up_tokens() {
        let metrics = Metrics::register(&mut Registry::default());
        let reviews = Arc::new(Reviews::new(api(), None, metrics));
        let file = r#"{"tenants": [{"namespace": "ns-a", "identities": ["alice"]}]}"#;
        let tenants = Arc::new(Tenants::parse(file).expect("a file"));
        let user = User { scope: "alice".to_owned(), namespace: "ns-a".to_owned() };
        let ended = Instant::now().checked_sub(Duration::from_secs(90)).expect("a time before");
        reviews.verdicts.lock().put(Sha256::digest("known").into(), Ok(user.clone()), ended);
        let mut strangers = JoinSet::new();
        for number in 0..2 * PLACES {
            let (reviews, tenants) = (Arc::clone(&reviews), Arc::clone(&tenants));
            strangers.spawn(async move { reviews.identify(&format!("made-up-{number}"), &tenants).await });
        }
        while reviews.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(reviews.identify("known", &tenants).await.expect("let in"), user);
        assert_eq!(reviews.places_of_known.available_permits(), PLACES_OF_KNOWN);
    }

    #[test]
    fn a_scope_is_a_name_or_its_hash_and_never_that_of_another() {
        assert_eq!(scope("system:serviceaccount:a:b"), "system:serviceaccount:a:b");
        let long = "x".repeat(MAX_IDENTITY_LENGTH + 1);
        let hashed = scope(&long);
        assert_eq!(hashed.len(), HASHED.len() + 64);
        assert_ne!(scope(&hashed), hashed, "who is called like the hash is somebody else");
        assert_ne!(scope(&"x".repeat(MAX_IDENTITY_LENGTH + 2)), hashed);
        assert_eq!(scope(&"é".repeat(MAX_IDENTITY_LENGTH)), "é".repeat(MAX_IDENTITY_LENGTH));
    }

    #[test]
    fn a_missing_right_is_told_with_its_remedy() {
        let status =
            kube::core::Status { code: 403, reason: "Forbidden".to_owned(), ..kube::core::Status::default() };
        let source = kube::Error::Api(Box::new(status));
        let text = ReviewError::Api { question: "whose a token is", source }.to_string();
        assert!(text.contains("ClusterRole system:auth-delegator"), "{text}");
    }
}
