//! What is to be looked at again: everything at the start, and then what the events ask for. Pure.

use std::{collections::HashSet, sync::Arc};

use super::{Positions, Task};
use crate::api::{
    store::{Change, Object, ObjectName, ResourceId, State},
    verbs::delete::{FOREGROUND, ORPHAN},
};

/// How many events of one resource are looked at in one round.
const ROUND: usize = 1024;

/// Every object, for the start and for when the history was lost.
pub(super) fn everything(state: &State, positions: &mut Positions) -> HashSet<Task> {
    let mut tasks = HashSet::new();
    for (resource, collection) in state.resources() {
        positions.insert(Arc::clone(resource), state.version);
        for object in collection.objects.values() {
            consider(resource, object, &mut tasks);
        }
    }
    tasks
}

/// What the events since the last round ask for.
pub(super) fn news(state: &State, positions: &mut Positions) -> HashSet<Task> {
    let mut tasks = HashSet::new();
    for (resource, collection) in state.resources() {
        let position = positions.entry(Arc::clone(resource)).or_insert(0);
        let Some(events) = collection.history.after(*position, ROUND) else {
            return everything(state, positions);
        };
        for event in events {
            *position = event.version();
            if event.change != Change::Deleted {
                consider(resource, &event.object, &mut tasks);
                continue;
            }
            let dependents = state.dependents(event.object.uid());
            tasks.extend(dependents.into_iter().map(|(resource, name)| Task::Dependent(resource, name)));
            for owner in event.object.owners() {
                if let Some((resource, owner)) = state.by_uid(owner)
                    && owner.is_deleting()
                {
                    tasks.insert(Task::Owner(Arc::clone(resource), owner.object_name()));
                }
            }
            if namespace_is_deleting(state, event.object.namespace()) {
                tasks.insert(Task::Namespace(event.object.namespace().to_owned()));
            }
        }
    }
    tasks
}

pub(super) fn namespace_is_deleting(state: &State, name: &str) -> bool {
    !name.is_empty()
        && state.get("/namespaces", &ObjectName::new("", name)).is_some_and(|found| found.is_deleting())
}

fn consider(resource: &ResourceId, object: &Object, tasks: &mut HashSet<Task>) {
    if object.owners().next().is_some() {
        tasks.insert(Task::Dependent(Arc::clone(resource), object.object_name()));
    }
    if object.is_deleting() {
        if object.has_finalizer(FOREGROUND) || object.has_finalizer(ORPHAN) {
            tasks.insert(Task::Owner(Arc::clone(resource), object.object_name()));
        }
        if &**resource == "/namespaces" {
            tasks.insert(Task::Namespace(object.name().to_owned()));
        }
    }
}
