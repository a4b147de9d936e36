//! A Kubernetes API for the tests of this crate: objects of several namespaces in memory, list, get, create, merge
//! patch and watch, and an operator that answers every new execution with the statuses a test has chosen.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{Request, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

/// Namespace and plural.
type Place = (String, String);
/// Namespace, plural and name.
type Key = (String, String, String);
/// What the operator writes into the status of a new execution, one after another.
pub(crate) type Script = Box<dyn Fn(&Value) -> Vec<Value> + Send + Sync>;

/// What is wrong with watches of executions.
#[derive(Clone, Copy, Default)]
pub(crate) struct Watches {
    /// They stay open and say nothing.
    pub(crate) silent: bool,
    /// Their connections break, and no new one comes about.
    pub(crate) cut: bool,
    /// The version that they begin at is gone.
    pub(crate) gone: bool,
}

pub(crate) struct FakeApi {
    pub(crate) objects: Mutex<BTreeMap<Key, Value>>,
    /// Every change, so that a watch can begin at any version.
    log: Mutex<Vec<(u64, Place, Value)>>,
    changed: watch::Sender<()>,
    version: AtomicU64,
    script: Script,
    /// So many creates fail after they have stored the object.
    pub(crate) creates_that_fail: AtomicUsize,
    /// So many patches fail.
    pub(crate) patches_that_fail: AtomicUsize,
    /// Creating an execution fails, and the object is kept here, for the test to let it appear.
    pub(crate) hides_creates: AtomicBool,
    pub(crate) hidden: Mutex<Option<Value>>,
    /// How often a single object was read.
    pub(crate) reads: AtomicUsize,
    /// The namespaces whose watches of executions were broken, each time.
    pub(crate) cuts: Mutex<Vec<String>>,
    /// What is wrong with watches of executions now.
    pub(crate) watches: watch::Sender<Watches>,
    /// Where nothing may be done, and how often that was told.
    pub(crate) forbidden: Mutex<Option<String>>,
    pub(crate) refusals: AtomicUsize,
    /// What creating an execution is refused with.
    pub(crate) refusal: Mutex<Option<(StatusCode, String)>>,
}

impl FakeApi {
    pub(crate) fn new(script: Script) -> Arc<Self> {
        Arc::new(Self {
            objects: Mutex::default(),
            log: Mutex::default(),
            changed: watch::channel(()).0,
            version: AtomicU64::new(1),
            script,
            creates_that_fail: AtomicUsize::new(0),
            patches_that_fail: AtomicUsize::new(0),
            hides_creates: AtomicBool::new(false),
            hidden: Mutex::new(None),
            reads: AtomicUsize::new(0),
            cuts: Mutex::default(),
            watches: watch::channel(Watches::default()).0,
            forbidden: Mutex::new(None),
            refusals: AtomicUsize::new(0),
            refusal: Mutex::new(None),
        })
    }

    pub(crate) fn client(self: &Arc<Self>) -> kube::Client {
        client(self.router())
    }

    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/apis/carrel.dev/v1alpha1/namespaces/{namespace}/{plural}", get(list).post(create))
            .route("/apis/carrel.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}", get(read).patch(patch))
            .layer(middleware::from_fn_with_state(Arc::clone(self), forbid))
            .with_state(Arc::clone(self))
    }

    /// Puts an object as it is.
    pub(crate) fn put(&self, plural: &str, mut object: Value) -> Value {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let key = (namespace.clone(), plural.to_owned(), name);
        let known = self.objects.lock().insert(key, object.clone()).is_some();
        let kind = if known { "MODIFIED" } else { "ADDED" };
        let event = json!({"type": kind, "object": object});
        self.log.lock().push((version, (namespace, plural.to_owned()), event));
        self.changed.send_replace(());
        object
    }

    /// Those of all namespaces.
    pub(crate) fn all(&self, plural: &str) -> Vec<Value> {
        let objects = self.objects.lock();
        objects.iter().filter(|((_, kind, _), _)| kind == plural).map(|(_, object)| object.clone()).collect()
    }

    /// Those of one namespace.
    pub(crate) fn all_in(&self, namespace: &str, plural: &str) -> Vec<Value> {
        let objects = self.objects.lock();
        let there = objects.iter().filter(|((place, kind, _), _)| place == namespace && kind == plural);
        there.map(|(_, object)| object.clone()).collect()
    }

    /// Changes the one execution there is.
    pub(crate) fn set_status(&self, status: &Value) {
        let mut object = self.all("codeexecutions").pop().expect("an execution");
        object["status"] = status.clone();
        self.put("codeexecutions", object);
    }
}

/// A client of whatever answers.
pub(crate) fn client(router: Router) -> kube::Client {
    let service = router.map_request(|request: Request<kube::client::Body>| request.map(Body::new));
    kube::Client::new(service, "default")
}

fn one_of(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(),
        "reason": reason, "message": message});
    (code, Json(body)).into_response()
}

/// An account without rights in one namespace.
async fn forbid(State(api): State<Arc<FakeApi>>, request: Request<Body>, next: middleware::Next) -> Response {
    let forbidden = api.forbidden.lock().clone().map(|namespace| format!("/namespaces/{namespace}/"));
    if forbidden.is_some_and(|path| request.uri().path().contains(&path)) {
        api.refusals.fetch_add(1, Ordering::Relaxed);
        return failure(StatusCode::FORBIDDEN, "Forbidden", "the account may not do that");
    }
    next.run(request).await
}

async fn list(
    State(api): State<Arc<FakeApi>>,
    Path(place): Path<Place>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    if query.get("watch").is_some_and(|watch| watch == "true" || watch == "1") {
        let version =
            query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or_default();
        return watch_from(api, place, version);
    }
    let version = api.version.load(Ordering::Relaxed).to_string();
    let items = api.all_in(&place.0, &place.1);
    let selected: Vec<_> =
        items.into_iter().filter(|item| matches(item, query.get("labelSelector"))).collect();
    Json(json!({"kind": "List", "apiVersion": "carrel.dev/v1alpha1", "metadata": {"resourceVersion": version}, "items": selected}))
        .into_response()
}

fn matches(object: &Value, selector: Option<&String>) -> bool {
    let pairs =
        selector.map(String::as_str).unwrap_or_default().split(',').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().all(|(key, value)| object["metadata"]["labels"][key] == value)
}

fn watch_from(api: Arc<FakeApi>, place: Place, version: u64) -> Response {
    let (changed, mut watches) = (api.changed.subscribe(), api.watches.subscribe());
    let of_executions = place.1 == "codeexecutions";
    let wrong = *watches.borrow_and_update();
    if of_executions && (wrong.cut || wrong.gone) {
        api.cuts.lock().push(place.0.clone());
    }
    if of_executions && wrong.cut {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "not now");
    }
    if of_executions && wrong.gone {
        return gone();
    }
    let lines = futures::stream::unfold((changed, version), move |(mut changed, seen)| {
        let (api, place, mut watches) = (Arc::clone(&api), place.clone(), watches.clone());
        async move {
            loop {
                let wrong = if of_executions { *watches.borrow_and_update() } else { Watches::default() };
                if wrong.cut || wrong.gone {
                    api.cuts.lock().push(place.0);
                    return Some((Err(std::io::Error::other("cut")), (changed, seen)));
                }
                let next = api.log.lock().iter().find(|(at, of, _)| *at > seen && *of == place).cloned();
                if let Some((at, _, event)) = next.filter(|_| !wrong.silent) {
                    return Some((Ok(Bytes::from(event.to_string() + "\n")), (changed, at)));
                }
                tokio::select! {
                    other = changed.changed() => other.ok()?,
                    other = watches.changed() => other.ok()?,
                }
            }
        }
    });
    Body::from_stream(lines).into_response()
}

fn gone() -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version"});
    (json!({"type": "ERROR", "object": status}).to_string() + "\n").into_response()
}

async fn create(
    State(api): State<Arc<FakeApi>>,
    Path((namespace, plural)): Path<Place>,
    Json(mut object): Json<Value>,
) -> Response {
    let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
    if let Some((code, message)) = api.refusal.lock().clone().filter(|_| plural == "codeexecutions") {
        return failure(code, "Forbidden", &message);
    }
    if api.objects.lock().contains_key(&(namespace.clone(), plural.clone(), name)) {
        return failure(StatusCode::CONFLICT, "AlreadyExists", "already exists");
    }
    object["metadata"]["uid"] = json!(uuid::Uuid::new_v4().to_string());
    object["metadata"]["namespace"] = json!(namespace);
    if plural == "codeexecutions" && api.hides_creates.load(Ordering::Relaxed) {
        *api.hidden.lock() = Some(object);
        return failure(StatusCode::GATEWAY_TIMEOUT, "Timeout", "the server was too slow");
    }
    let created = api.put(&plural, object);
    if plural == "codeexecutions" {
        for status in (api.script)(&created) {
            let mut next = created.clone();
            next["status"] = status;
            api.put(&plural, next);
        }
        if one_of(&api.creates_that_fail) {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "the answer was lost");
        }
    }
    (StatusCode::CREATED, Json(created)).into_response()
}

async fn read(State(api): State<Arc<FakeApi>>, Path(key): Path<Key>) -> Response {
    api.reads.fetch_add(1, Ordering::Relaxed);
    tokio::task::yield_now().await;
    match api.objects.lock().get(&key) {
        Some(object) => Json(object.clone()).into_response(),
        None => failure(StatusCode::NOT_FOUND, "NotFound", "not found"),
    }
}

/// A merge patch of `spec.cancel`, which is all that the shim patches.
async fn patch(State(api): State<Arc<FakeApi>>, Path(key): Path<Key>, body: Bytes) -> Response {
    let patch: Value = serde_json::from_slice(&body).expect("JSON");
    if one_of(&api.patches_that_fail) {
        return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "not now");
    }
    let Some(mut object) = api.objects.lock().get(&key).cloned() else {
        return failure(StatusCode::NOT_FOUND, "NotFound", "not found");
    };
    object["spec"]["cancel"] = patch["spec"]["cancel"].clone();
    Json(api.put(&key.1, object)).into_response()
}
