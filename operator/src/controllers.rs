//! Builds the watches and the loops that belong to one term of leadership. Each ends only when something is broken.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    hash::Hash,
    pin::pin,
    sync::Arc,
};

use crds::{CodeExecution, SandboxFile, SandboxPool, labels};
use futures::{Stream, StreamExt as _, future::BoxFuture, stream::SelectAll};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod};
use kube::{
    Api, Client, Resource,
    core::DeserializeGuard,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use serde::de::DeserializeOwned;

use crate::{
    code_execution::{self, ttl},
    config::Namespaces,
    context::Context,
    drive::drive,
    key::Key,
    leader::first_lists::Lists,
    pool::{self, facts::PodFacts},
    sandbox_file::{self, gc},
};

/// How many executions are looked at at once. A look is short; this bounds what is under way at the API.
const EXECUTIONS_AT_ONCE: usize = 256;
const POOLS_AT_ONCE: usize = 16;
const FILES_AT_ONCE: usize = 32;

/// A loop and its name, for the error when it ends.
pub(crate) type Named = (&'static str, BoxFuture<'static, ()>);

/// All loops of a leader.
pub(crate) fn all(context: &Arc<Context>) -> Vec<Named> {
    let lists = Arc::new(Lists::new(&watched(context)));
    let with = || (Arc::clone(context), Arc::clone(&lists));
    let context_of = || Arc::clone(context);
    let (executions, pods, pools, files) = (with(), with(), with(), context_of());
    let (look, fill, keep) = (context_of(), context_of(), context_of());
    vec![
        ("watch of executions", Box::pin(watch_executions(executions.0, executions.1))),
        ("watch of pods", Box::pin(watch_pods(pods.0, pods.1))),
        ("watch of pools", Box::pin(watch_pools(pools.0, pools.1))),
        ("watch of files", Box::pin(watch_files(files))),
        (
            "executions",
            Box::pin(drive(context.execution_queue.clone(), EXECUTIONS_AT_ONCE, move |key| {
                code_execution::reconcile(Arc::clone(&look), key)
            })),
        ),
        (
            "pools",
            Box::pin(drive(context.pool_queue.clone(), POOLS_AT_ONCE, move |key| {
                pool::reconcile(Arc::clone(&fill), key)
            })),
        ),
        (
            "files",
            Box::pin(drive(context.file_queue.clone(), FILES_AT_ONCE, move |key| {
                sandbox_file::reconcile(Arc::clone(&keep), key)
            })),
        ),
        ("end of executions", Box::pin(ttl::run(context_of()))),
        ("end of bytes", Box::pin(gc::run(context_of()))),
    ]
}

async fn watch_executions(context: Arc<Context>, lists: Arc<Lists>) {
    let events = events::<DeserializeGuard<CodeExecution>>(&context, &watcher::Config::default());
    let mut events = pin!(events);
    let mut listing = Listing::default();
    while let Some((namespace, event)) = events.next().await {
        match event {
            Event::Init => listing.begin(namespace.as_deref()),
            Event::InitApply(object) => {
                listing.insert(namespace.as_deref(), Key::of(object.meta()));
                execution_applied(&context, object);
            }
            Event::InitDone => {
                let listed = listing.end(namespace.as_deref());
                let known = context.executions.keys().into_iter().chain(context.ttl.keys());
                for key in missing(known, &listed, namespace.as_deref()) {
                    code_execution::deleted(&context, &key);
                }
                lists.complete(&context, "executions", namespace);
            }
            Event::Apply(object) => execution_applied(&context, object),
            Event::Delete(object) => code_execution::deleted(&context, &Key::of(object.meta())),
        }
    }
}

fn execution_applied(context: &Arc<Context>, object: DeserializeGuard<CodeExecution>) {
    match object.0 {
        Ok(object) => code_execution::applied(context, object),
        Err(unreadable) => {
            tracing::warn!(execution = %Key::of(&unreadable.metadata), error = %unreadable, "an object cannot be read");
            context.executions.apply_unreadable(&unreadable.metadata, &unreadable.error);
            context.execution_queue.push(Key::of(&unreadable.metadata));
        }
    }
}

async fn watch_pods(context: Arc<Context>, lists: Arc<Lists>) {
    let ours = watcher::Config::default().labels(labels::POOL);
    let events = events::<Pod>(&context, &ours);
    let mut events = pin!(events);
    let mut listing = Listing::default();
    while let Some((namespace, event)) = events.next().await {
        match event {
            Event::Init => listing.begin(namespace.as_deref()),
            Event::InitApply(pod) => {
                listing.insert(namespace.as_deref(), pod.metadata.uid.clone().unwrap_or_default());
                pod_applied(&context, &pod);
            }
            Event::InitDone => {
                let listed = listing.end(namespace.as_deref());
                for entry in context.pods.all() {
                    let facts = entry.facts();
                    let here =
                        namespace.as_deref().is_none_or(|namespace| namespace == &*facts.key.namespace);
                    if here && !listed.contains(&*facts.uid) {
                        pod_deleted(&context, &facts.uid);
                    }
                }
                lists.complete(&context, "pods", namespace);
            }
            Event::Apply(pod) => pod_applied(&context, &pod),
            Event::Delete(pod) => pod_deleted(&context, pod.metadata.uid.as_deref().unwrap_or_default()),
        }
    }
}

fn pod_applied(context: &Arc<Context>, pod: &Pod) {
    if let Some(facts) = PodFacts::of(pod) {
        let entry = context.pods.apply(facts);
        pool::pod_changed(context, &entry);
    }
}

fn pod_deleted(context: &Arc<Context>, uid: &str) {
    if let Some(entry) = context.pods.remove(uid) {
        pool::pod_gone(context, &entry);
    }
}

async fn watch_pools(context: Arc<Context>, lists: Arc<Lists>) {
    let events = events::<SandboxPool>(&context, &watcher::Config::default());
    let mut events = pin!(events);
    let mut listing = Listing::default();
    while let Some((namespace, event)) = events.next().await {
        match event {
            Event::Init => listing.begin(namespace.as_deref()),
            Event::InitApply(pool) => {
                listing.insert(namespace.as_deref(), Key::of(&pool.metadata));
                pool_applied(&context, pool);
            }
            Event::InitDone => {
                let listed = listing.end(namespace.as_deref());
                for key in missing(context.pools.keys(), &listed, namespace.as_deref()) {
                    pool_deleted(&context, &key);
                }
                lists.complete(&context, "pools", namespace);
            }
            Event::Apply(pool) => pool_applied(&context, pool),
            Event::Delete(pool) => pool_deleted(&context, &Key::of(&pool.metadata)),
        }
    }
}

fn pool_applied(context: &Arc<Context>, pool: SandboxPool) {
    let fresh = context.pools.get(&Key::of(&pool.metadata)).is_none();
    let key = context.pools.apply(pool);
    if fresh {
        // Whoever waits for the pool can ask it now.
        context.executions.wake_pool(&key, &context.execution_queue);
    }
    context.pool_queue.push(key);
}

fn pool_deleted(context: &Arc<Context>, key: &Key) {
    context.pools.remove(key);
    context.executions.wake_pool(key, &context.execution_queue);
}

async fn watch_files(context: Arc<Context>) {
    let events = events::<SandboxFile>(&context, &watcher::Config::default());
    let mut events = pin!(events);
    let mut listing = Listing::default();
    while let Some((namespace, event)) = events.next().await {
        match event {
            Event::Init => listing.begin(namespace.as_deref()),
            Event::InitApply(file) => {
                listing.insert(namespace.as_deref(), Key::of(&file.metadata));
                sandbox_file::applied(&context, &file);
            }
            Event::InitDone => {
                let listed = listing.end(namespace.as_deref());
                for key in missing(context.files.keys(), &listed, namespace.as_deref()) {
                    sandbox_file::deleted(&context, &key);
                }
            }
            Event::Apply(file) => sandbox_file::applied(&context, &file),
            Event::Delete(file) => sandbox_file::deleted(&context, &Key::of(&file.metadata)),
        }
    }
}

/// What the lists that are under way have named so far. Each namespace is listed by itself, whenever its watch
/// needs it, so each has names of its own.
struct Listing<T>(HashMap<Option<String>, HashSet<T>>);

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Listing<T> {
    fn begin(&mut self, namespace: Option<&str>) {
        self.0.insert(namespace.map(str::to_owned), HashSet::new());
    }

    fn insert(&mut self, namespace: Option<&str>, name: T) {
        self.0.entry(namespace.map(str::to_owned)).or_default().insert(name);
    }

    fn end(&mut self, namespace: Option<&str>) -> HashSet<T> {
        self.0.remove(&namespace.map(str::to_owned)).unwrap_or_default()
    }
}

/// The namespaces that are watched one by one; `None` stands for all at once.
fn watched(context: &Context) -> Vec<Option<String>> {
    match &context.config.namespaces {
        Namespaces::All => vec![None],
        Namespaces::Only(names) => names.iter().cloned().map(Some).collect(),
    }
}

/// What was known before a fresh list and is not in it, so it went while nobody watched.
fn missing(known: impl IntoIterator<Item = Key>, listed: &HashSet<Key>, namespace: Option<&str>) -> Vec<Key> {
    let here = |key: &Key| namespace.is_none_or(|namespace| namespace == &*key.namespace);
    known.into_iter().filter(|key| here(key) && !listed.contains(key)).collect()
}

/// The events of a kind in all watched namespaces, each with the namespace of its watch. A watch that breaks is
/// taken up again where it was, with a growing wait.
fn events<K>(
    context: &Context,
    config: &watcher::Config,
) -> impl Stream<Item = (Option<String>, Event<K>)> + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let client: &Client = &context.client;
    let watches = watched(context).into_iter().map(|namespace| {
        let api: Api<K> = match &namespace {
            None => Api::all(client.clone()),
            Some(name) => Api::namespaced(client.clone(), name),
        };
        watcher(api, config.clone())
            .default_backoff()
            .filter_map(move |event| {
                let namespace = namespace.clone();
                async move {
                    match event {
                        Ok(event) => Some((namespace, event)),
                        Err(error) => {
                            tracing::warn!(kind = %K::kind(&()), %error, "a watch broke and is taken up again");
                            None
                        }
                    }
                }
            })
            .boxed()
    });
    let mut all = SelectAll::new();
    all.extend(watches);
    all
}
