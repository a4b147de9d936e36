//! The operator's internal port: live output for the shim, health and metrics. Nothing for users.
//!
//! Who asks for output must have a token of the API, and may read the execution there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use crds::CodeExecution;
use futures::StreamExt as _;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams, core::DeserializeGuard};
use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::{net::TcpListener, time::Instant};

use crate::{
    context::Context,
    definitions::{Definitions, OUTDATED},
    front_tokens,
    live_output::LiveOutputs,
    reach::Reach,
};

/// The audience that callers' tokens may be bound to.
const AUDIENCE: &str = "carrel-operator";

/// Whether this operator leads now, and what else its readiness says.
#[derive(Clone, Default, Debug)]
pub(crate) struct Leading {
    context: Arc<RwLock<Weak<Context>>>,
    pub(crate) definitions: Definitions,
    pub(crate) reach: Reach,
    pub(crate) front_tokens: front_tokens::Trouble,
}

impl Leading {
    pub(crate) fn begin(&self, context: &Arc<Context>) {
        *self.context.write() = Arc::downgrade(context);
    }

    pub(crate) fn end(&self) {
        *self.context.write() = Weak::new();
    }

    /// Health, readiness and metrics. Ready is a leader that may start programs, and a standby that reaches the API,
    /// when the cluster has the definitions that they were built with and the front the tokens that it is to have.
    pub(crate) fn admin(&self, registry: Arc<Registry>) -> telemetry::Admin {
        let (leading, definitions, reach) = (self.clone(), self.definitions.clone(), self.reach.clone());
        let tokens = self.front_tokens.clone();
        let outdated = move || match definitions.outdated() {
            Some(message) => Err(format!("{OUTDATED}: {message}")),
            None => Ok(()),
        };
        telemetry::Admin::new(registry)
            .ready_when("api", move || reach.check())
            .ready_when("takeover", move || leading.check())
            .ready_when("definitions", outdated)
            .ready_when("front tokens", move || tokens.check())
    }

    fn check(&self) -> Result<(), String> {
        let Some(context) = self.context.read().upgrade() else {
            // A standby is ready to take over, which is all it has to be.
            return Ok(());
        };
        let open = context.takeover.lock().open(Instant::now());
        if open { Err("pods of an earlier leader have not answered yet".to_owned()) } else { Ok(()) }
    }
}

/// What the port serves.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    live: LiveOutputs,
    registry: Arc<Registry>,
    leading: Leading,
}

impl Server {
    pub(crate) fn new(client: Client, live: LiveOutputs, registry: Arc<Registry>, leading: Leading) -> Self {
        Self { client, live, registry, leading }
    }

    /// Serves for ever.
    pub(crate) async fn run(self, listener: TcpListener) {
        if let Err(error) = axum::serve(listener, self.router()).await {
            tracing::error!(%error, "the internal port failed");
        }
    }

    fn router(self) -> Router {
        let admin = self.leading.admin(Arc::clone(&self.registry));
        Router::new()
            .route("/v1/live/{namespace}/{name}", get(live))
            .with_state(Arc::new(self))
            .merge(admin.router())
    }
}

#[derive(Debug, Deserialize)]
struct Wanted {
    uid: Option<String>,
}

/// Why output is refused.
enum Refusal {
    NoToken,
    BadToken,
    Forbidden,
    NotFound,
    NotLeading,
    Api(kube::Error),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "a bearer token is needed"),
            Self::BadToken => (StatusCode::UNAUTHORIZED, "the token is not valid"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "the execution may not be read"),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such execution"),
            Self::NotLeading => (StatusCode::SERVICE_UNAVAILABLE, "this operator is not the leader"),
            Self::Api(error) => {
                tracing::warn!(%error, "live output could not be authorised");
                (StatusCode::BAD_GATEWAY, "the API could not be asked")
            }
        };
        (status, text).into_response()
    }
}

async fn live(
    State(server): State<Arc<Server>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if server.leading.context.read().upgrade().is_none() {
        return Err(Refusal::NotLeading);
    }
    allowed(&server.client, &headers, &namespace, &name).await?;
    let api: Api<DeserializeGuard<CodeExecution>> = Api::namespaced(server.client.clone(), &namespace);
    let object = api.get_opt(&name).await.map_err(Refusal::Api)?;
    let Some(DeserializeGuard(Ok(object))) = object else { return Err(Refusal::NotFound) };
    let uid = object.metadata.uid.unwrap_or_default();
    if wanted.uid.is_some_and(|wanted| wanted != uid) {
        return Err(Refusal::NotFound);
    }
    let finished = object.status.is_some_and(|status| status.phase.is_terminal());
    let follower = if finished { None } else { server.live.follow(&uid) };
    let body = match follower {
        None => Body::empty(),
        Some(chunks) => Body::from_stream(chunks.map(|chunk| {
            let mut line = serde_json::to_vec(&chunk)?;
            line.push(b'\n');
            Ok::<_, serde_json::Error>(Bytes::from(line))
        })),
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Who asks, and whether they may read the execution.
async fn allowed(client: &Client, headers: &HeaderMap, namespace: &str, name: &str) -> Result<(), Refusal> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Refusal::NoToken)?;
    let review = TokenReview {
        spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(Refusal::Api)?;
    let status =
        answer.status.filter(|status| status.authenticated == Some(true)).ok_or(Refusal::BadToken)?;
    if !for_us(status.audiences.as_deref()) {
        return Err(Refusal::BadToken);
    }
    let user = status.user.ok_or(Refusal::BadToken)?;
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
                name: Some(name.to_owned()),
                verb: Some("get".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(Refusal::Api)?;
    if answer.status.is_some_and(|status| status.allowed) { Ok(()) } else { Err(Refusal::Forbidden) }
}

/// Whether a token is meant for this port, by what its review says. A server that does not know audiences says
/// nothing about them, and a token that is good for the API itself may read here what it may read there. The front
/// refuses in that case, because who gets in there runs code (`api-shim/src/token_review.rs`).
fn for_us(audiences: Option<&[String]>) -> bool {
    audiences.is_none_or(|named| named.is_empty() || named.iter().any(|name| name == AUDIENCE))
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, http::Request};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn with_outdated_definitions_it_is_not_ready_and_says_what_they_lack() {
        let leading = Leading::default();
        let router = leading.admin(Arc::default()).router();
        let ask = async || {
            let request = Request::get("/readyz").body(Body::empty()).unwrap();
            let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
            let text = to_bytes(body, 1024).await.unwrap();
            (head.status, String::from_utf8(text.to_vec()).unwrap())
        };
        assert_eq!(
            ask().await,
            (StatusCode::OK, "api: ok\ntakeover: ok\ndefinitions: ok\nfront tokens: ok\n".to_owned())
        );
        leading.definitions.set(Some("SandboxPool has no spec.x".to_owned()));
        let text =
            "api: ok\ntakeover: ok\ndefinitions: CRDOutdated: SandboxPool has no spec.x\nfront tokens: ok\n"
                .to_owned();
        assert_eq!(ask().await, (StatusCode::SERVICE_UNAVAILABLE, text));
    }

    #[test]
    fn a_token_for_somebody_else_is_refused() {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(for_us(None) && for_us(Some(&[])));
        assert!(for_us(Some(&named(&["other", AUDIENCE]))));
        assert!(!for_us(Some(&named(&["other"]))));
    }
}
