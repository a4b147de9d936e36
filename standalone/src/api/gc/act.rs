//! One thing is looked at, and cleaned up. Each step reads what is committed now: the task says only where to look.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Preconditions};
use serde_json::Value;

use super::{Task, find::namespace_is_deleting};
use crate::api::{
    core::Core,
    kinds::Class,
    status_error::Result,
    store::{Expect, Object, ObjectName, ResourceId, State, Write},
    verbs::{
        delete::{FOREGROUND, ORPHAN, remove},
        store_change,
    },
};

/// Looks at one thing as it is now, and does what it takes.
pub(super) async fn perform(core: &Core, task: &Task) -> Result<()> {
    match task {
        Task::Dependent(resource, name) => dependent(core, resource, name).await,
        Task::Owner(resource, name) => owner(core, resource, name).await,
        Task::Namespace(name) => namespace(core, name).await,
    }
}

/// Deletes an object of which no owner lives any more; drops references to those that do not.
async fn dependent(core: &Core, resource: &str, name: &ObjectName) -> Result<()> {
    let (object, gone) = {
        let state = core.store.read();
        let Some(object) = state.get(resource, name).cloned() else { return Ok(()) };
        let gone: Vec<String> =
            object.owners().filter(|uid| !lives(&state, &object, uid)).map(str::to_owned).collect();
        (object, gone)
    };
    if gone.is_empty() {
        return Ok(());
    }
    if gone.len() == object.owners().count() {
        return delete(core, resource, &object, None).await;
    }
    rewrite(core, resource, &object, |metadata| drop_owners(metadata, &gone)).await
}

/// Whether an owner is there: of the object's own namespace, or of none.
fn lives(state: &State, object: &Object, owner: &str) -> bool {
    let namespace = state.by_uid(owner).map(|(_, owner)| owner.namespace());
    namespace.is_some_and(|namespace| namespace.is_empty() || namespace == object.namespace())
}

/// Deletes or releases the dependents of an owner that waits for them, and then lets the owner go.
async fn owner(core: &Core, resource: &str, name: &ObjectName) -> Result<()> {
    let (object, dependents) = {
        let state = core.store.read();
        let Some(object) = state.get(resource, name).cloned() else { return Ok(()) };
        let found: Vec<(ResourceId, Arc<Object>)> = state
            .dependents(object.uid())
            .into_iter()
            .filter_map(|(resource, name)| {
                Some((Arc::clone(&resource), Arc::clone(state.get(&resource, &name)?)))
            })
            .collect();
        (object, found)
    };
    if object.has_finalizer(ORPHAN) {
        let uid = [object.uid().to_owned()];
        for (resource, dependent) in &dependents {
            rewrite(core, resource, dependent, |metadata| drop_owners(metadata, &uid)).await?;
        }
        return rewrite(core, resource, &object, |metadata| drop_finalizer(metadata, ORPHAN)).await;
    }
    for (resource, dependent) in dependents.iter().filter(|(_, dependent)| !dependent.is_deleting()) {
        let has_own = !core.store.read().dependents(dependent.uid()).is_empty();
        delete(core, resource, dependent, has_own.then_some("Foreground")).await?;
    }
    let blocked = dependents.iter().any(|(resource, dependent)| {
        blocks(dependent, object.uid()) && core.store.get(resource, &dependent.object_name()).is_some()
    });
    if blocked {
        return Ok(());
    }
    rewrite(core, resource, &object, |metadata| drop_finalizer(metadata, FOREGROUND)).await
}

fn blocks(dependent: &Object, owner: &str) -> bool {
    let references = dependent.value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    references.into_iter().flatten().any(|one| {
        one.get("uid").and_then(Value::as_str) == Some(owner)
            && one.get("blockOwnerDeletion") == Some(&Value::Bool(true))
    })
}

/// Empties a namespace that is being deleted, and removes it when it is empty.
async fn namespace(core: &Core, name: &str) -> Result<()> {
    let content: Vec<(ResourceId, Arc<Object>)> = {
        let state = core.store.read();
        if !namespace_is_deleting(&state, name) {
            return Ok(());
        }
        let own = |object: &&Arc<Object>| object.namespace() == name;
        let all = state.resources().flat_map(|(resource, collection)| {
            collection.objects.values().filter(own).map(|object| (Arc::clone(resource), Arc::clone(object)))
        });
        all.collect()
    };
    if content.is_empty() {
        let object = core.store.get("/namespaces", &ObjectName::new("", name));
        let (Some(object), Some(kind)) = (object, core.registry.stored("/namespaces")) else { return Ok(()) };
        let write = Write {
            resource: Arc::clone(&kind.resource),
            name: object.object_name(),
            expect: Expect::Version(object.version),
            value: None,
        };
        return core.commit(kind, write).await.map(|_| ()).map_err(|refused| refused.status);
    }
    let removals = content
        .iter()
        .filter(|(_, object)| !object.is_deleting())
        .map(|(resource, object)| delete(core, resource, object, None));
    for outcome in futures::future::join_all(removals).await {
        outcome.or_else(|error| if matches!(error.code, 404 | 409) { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}

async fn delete(core: &Core, resource: &str, object: &Object, policy: Option<&str>) -> Result<()> {
    let Some(kind) = core.registry.stored(resource) else { return Ok(()) };
    if object.is_deleting() && !matches!(kind.class, Class::Pod) {
        return Ok(());
    }
    let options = DeleteOptions {
        preconditions: Some(Preconditions { uid: Some(object.uid().to_owned()), resource_version: None }),
        propagation_policy: Some(policy.unwrap_or("Background").to_owned()),
        ..DeleteOptions::default()
    };
    remove(core, kind, &object.object_name(), &options).await.map(|_| ())
}

/// Changes the metadata of an object; the change may leave it without finalizers, and then it goes.
async fn rewrite(
    core: &Core,
    resource: &str,
    object: &Arc<Object>,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> Result<()> {
    let Some(kind) = core.registry.stored(resource) else { return Ok(()) };
    let mut next = object.value.clone();
    if let Some(metadata) = next.get_mut("metadata").and_then(Value::as_object_mut) {
        change(metadata);
    }
    store_change(core, kind, object, next).await
}

fn drop_owners(metadata: &mut serde_json::Map<String, Value>, gone: &[String]) {
    if let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        owners.retain(|owner| {
            owner.get("uid").and_then(Value::as_str).is_none_or(|uid| !gone.iter().any(|one| one == uid))
        });
        if owners.is_empty() {
            metadata.remove("ownerReferences");
        }
    }
}

fn drop_finalizer(metadata: &mut serde_json::Map<String, Value>, name: &str) {
    if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|one| one.as_str() != Some(name));
        if finalizers.is_empty() {
            metadata.remove("finalizers");
        }
    }
}
