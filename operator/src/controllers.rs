//! Builds the watches and the loops that belong to one term of leadership. Each ends only when something is broken.

mod nodes;
mod watches;

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    hash::Hash,
    pin::pin,
    sync::Arc,
};

use futures::{Stream, StreamExt as _, future::BoxFuture, stream::SelectAll};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
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
    pool,
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
    let (executions, pods, pools, files) = (with(), with(), with(), with());
    let (look, fill, keep) = (context_of(), context_of(), context_of());
    let nodes = context
        .config
        .watch_nodes
        .then(|| -> Named { ("watch of nodes", Box::pin(nodes::watch(context_of()))) });
    let all: Vec<Named> = vec![
        ("watch of executions", Box::pin(watch::<watches::Executions>(executions.0, executions.1))),
        ("watch of pods", Box::pin(watch::<watches::Pods>(pods.0, pods.1))),
        ("watch of pools", Box::pin(watch::<watches::Pools>(pools.0, pools.1))),
        ("watch of files", Box::pin(watch::<watches::Files>(files.0, files.1))),
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
        ("pools with outdated definitions", Box::pin(show_definitions(context_of()))),
        ("end of executions", Box::pin(ttl::run(context_of()))),
        ("end of bytes", Box::pin(gc::run(context_of()))),
    ];
    all.into_iter().chain(nodes).collect()
}

/// Looks at all pools when the definitions have become outdated, or are so no more: each shows it.
async fn show_definitions(context: Arc<Context>) {
    let mut changes = context.definitions.changes();
    while changes.changed().await.is_ok() {
        for key in context.pools.keys() {
            context.pool_queue.push(key);
        }
    }
}

/// What the events of one kind mean for the caches.
trait Watched {
    /// The kind, in the form in which it is read.
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static;
    /// What its list is called where the first lists are waited for.
    const LIST: &'static str;

    /// Which objects are watched, and how they are listed.
    fn config() -> watcher::Config {
        watcher::Config::default()
    }

    /// What names an object in its cache.
    fn key(object: &Self::Object) -> Key {
        Key::of(object.meta())
    }

    /// Everything that the cache has.
    fn known(context: &Context) -> Vec<Key>;

    /// It is there, or has changed.
    fn applied(context: &Arc<Context>, object: Self::Object);

    /// It is gone.
    fn deleted(context: &Arc<Context>, key: &Key);
}

/// Keeps a cache as the API is, for ever.
async fn watch<W: Watched>(context: Arc<Context>, lists: Arc<Lists>) {
    let mut events = pin!(events::<W::Object>(&context, &W::config()));
    let mut listing = Listing::default();
    while let Some((namespace, event)) = events.next().await {
        match event {
            Event::Init => listing.begin(namespace.as_deref()),
            Event::InitApply(object) => {
                listing.insert(namespace.as_deref(), W::key(&object));
                W::applied(&context, object);
            }
            Event::InitDone => {
                let listed = listing.end(namespace.as_deref());
                for key in missing(W::known(&context), &listed, namespace.as_deref()) {
                    W::deleted(&context, &key);
                }
                lists.complete(&context, W::LIST, namespace);
            }
            Event::Apply(object) => W::applied(&context, object),
            Event::Delete(object) => W::deleted(&context, &W::key(&object)),
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
