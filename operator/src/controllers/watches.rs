//! What an event of each kind means for its cache.

use std::sync::Arc;

use crds::{CodeExecution, SandboxFile, SandboxPool, labels};
use k8s_openapi::api::core::v1::Pod;
use kube::{core::DeserializeGuard, runtime::watcher};

use super::Watched;
use crate::{
    code_execution,
    context::Context,
    key::Key,
    leader::first_lists,
    pool::{self, facts::PodFacts},
    sandbox_file,
};

/// A page of a list is in memory as a whole, and one execution may have nearly a megabyte.
const EXECUTIONS_IN_A_PAGE: u32 = 64;

pub(super) struct Executions;

impl Watched for Executions {
    type Object = DeserializeGuard<CodeExecution>;
    const LIST: &'static str = first_lists::EXECUTIONS;

    fn config() -> watcher::Config {
        watcher::Config::default().page_size(EXECUTIONS_IN_A_PAGE)
    }

    fn known(context: &Context) -> Vec<Key> {
        context.executions.keys().into_iter().chain(context.ttl.keys()).collect()
    }

    fn applied(context: &Arc<Context>, object: DeserializeGuard<CodeExecution>) {
        match object.0 {
            Ok(object) => code_execution::applied(context, object),
            Err(unreadable) => {
                let key = Key::of(&unreadable.metadata);
                tracing::warn!(execution = %key, error = %unreadable, "an object cannot be read");
                context.executions.apply_unreadable(&unreadable.metadata, &unreadable.error);
                context.execution_queue.push(key);
            }
        }
    }

    fn deleted(context: &Arc<Context>, key: &Key) {
        code_execution::deleted(context, key);
    }
}

pub(super) struct Pods;

/// Pods are known by their uid: one that is gone and one of the same name that came are two.
impl Watched for Pods {
    type Object = Pod;
    const LIST: &'static str = first_lists::PODS;

    fn config() -> watcher::Config {
        watcher::Config::default().labels(labels::POOL)
    }

    fn key(pod: &Pod) -> Key {
        Key::of(&pod.metadata).sibling(pod.metadata.uid.as_deref().unwrap_or_default())
    }

    fn known(context: &Context) -> Vec<Key> {
        let of = |facts: &PodFacts| facts.key.sibling(&facts.uid);
        context.pods.all().iter().map(|entry| of(&entry.facts())).collect()
    }

    fn applied(context: &Arc<Context>, pod: Pod) {
        if let Some(facts) = PodFacts::of(&pod) {
            let entry = context.pods.apply(facts);
            pool::pod_changed(context, &entry);
        }
    }

    fn deleted(context: &Arc<Context>, key: &Key) {
        if let Some(entry) = context.pods.remove(&key.name) {
            pool::pod_gone(context, &entry);
        }
    }
}

pub(super) struct Pools;

impl Watched for Pools {
    type Object = SandboxPool;
    const LIST: &'static str = first_lists::POOLS;

    fn known(context: &Context) -> Vec<Key> {
        context.pools.keys()
    }

    fn applied(context: &Arc<Context>, pool: SandboxPool) {
        let fresh = context.pools.get(&Key::of(&pool.metadata)).is_none();
        let key = context.pools.apply(pool);
        if fresh {
            // Whoever waits for the pool can ask it now.
            context.executions.wake_pool(&key, &context.execution_queue);
        }
        context.pool_queue.push(key);
    }

    fn deleted(context: &Arc<Context>, key: &Key) {
        context.pools.remove(key);
        context.executions.wake_pool(key, &context.execution_queue);
    }
}

pub(super) struct Files;

impl Watched for Files {
    type Object = SandboxFile;
    const LIST: &'static str = first_lists::FILES;

    fn known(context: &Context) -> Vec<Key> {
        context.files.keys()
    }

    fn applied(context: &Arc<Context>, file: SandboxFile) {
        sandbox_file::applied(context, &file);
    }

    fn deleted(context: &Arc<Context>, key: &Key) {
        sandbox_file::deleted(context, key);
    }
}
