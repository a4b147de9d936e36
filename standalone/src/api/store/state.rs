//! The committed objects in memory. Only the writer changes it, and only after the commit.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use tokio::sync::watch;

use super::{
    history::{Change, Event, History},
    object::{Object, ObjectName},
};

/// A resource's identity in the store: `group/plural`.
pub(crate) type ResourceId = Arc<str>;

/// All objects of one resource, with their recent history.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) objects: BTreeMap<ObjectName, Arc<Object>>,
    pub(crate) history: History,
    latest: watch::Sender<u64>,
}

/// Everything that is committed.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) version: u64,
    collections: HashMap<ResourceId, Collection>,
    /// Where each uid lives, for owner references.
    uids: HashMap<String, (ResourceId, ObjectName)>,
    /// Owner uid to the objects that name it.
    dependents: HashMap<String, HashSet<(ResourceId, ObjectName)>>,
    history_events: usize,
}

impl State {
    pub(crate) fn new(version: u64, history_events: usize) -> Self {
        Self {
            version,
            collections: HashMap::new(),
            uids: HashMap::new(),
            dependents: HashMap::new(),
            history_events,
        }
    }

    pub(crate) fn collection(&self, resource: &str) -> Option<&Collection> {
        self.collections.get(resource)
    }

    /// Makes the resource known, so that a watch on it can start before its first object.
    pub(crate) fn ensure(&mut self, resource: &ResourceId) -> &mut Collection {
        let (floor, most) = (self.version, self.history_events);
        self.collections.entry(Arc::clone(resource)).or_insert_with(|| Collection {
            objects: BTreeMap::new(),
            history: History::new(floor, most),
            latest: watch::Sender::new(floor),
        })
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = (&ResourceId, &Collection)> {
        self.collections.iter()
    }

    pub(crate) fn get(&self, resource: &str, name: &ObjectName) -> Option<&Arc<Object>> {
        self.collections.get(resource)?.objects.get(name)
    }

    pub(crate) fn by_uid(&self, uid: &str) -> Option<(&ResourceId, &Arc<Object>)> {
        let (resource, name) = self.uids.get(uid)?;
        Some((resource, self.get(resource, name)?))
    }

    /// Follows the versions of one resource.
    pub(crate) fn subscribe(&self, resource: &str) -> Option<watch::Receiver<u64>> {
        self.collection(resource).map(|collection| collection.latest.subscribe())
    }

    pub(crate) fn dependents(&self, uid: &str) -> Vec<(ResourceId, ObjectName)> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Puts back an object that was read from disk; no event.
    pub(crate) fn restore(&mut self, resource: &ResourceId, object: Arc<Object>) {
        let name = object.object_name();
        self.index(resource, &name, &object);
        self.ensure(resource).objects.insert(name, object);
    }

    /// Applies one committed change and remembers it as an event.
    pub(crate) fn publish(&mut self, resource: &ResourceId, object: Arc<Object>, change: Change) {
        let name = object.object_name();
        let previous = self.ensure(resource).objects.remove(&name);
        if let Some(old) = &previous {
            self.unindex(resource, &name, old);
        }
        self.version = object.version;
        if change != Change::Deleted {
            self.index(resource, &name, &object);
        }
        let collection = self.ensure(resource);
        if change != Change::Deleted {
            collection.objects.insert(name, Arc::clone(&object));
        }
        let version = object.version;
        collection.history.push(Arc::new(Event { change, object, previous }));
        collection.latest.send_replace(version);
    }

    fn index(&mut self, resource: &ResourceId, name: &ObjectName, object: &Object) {
        self.uids.insert(object.uid().to_owned(), (Arc::clone(resource), name.clone()));
        for owner in object.owners() {
            let entry = self.dependents.entry(owner.to_owned()).or_default();
            entry.insert((Arc::clone(resource), name.clone()));
        }
    }

    fn unindex(&mut self, resource: &ResourceId, name: &ObjectName, object: &Object) {
        self.uids.remove(object.uid());
        for owner in object.owners() {
            if let Some(entry) = self.dependents.get_mut(owner) {
                entry.remove(&(Arc::clone(resource), name.clone()));
                if entry.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(name: &str, owner: &str, version: u64) -> Arc<Object> {
        let value = json!({"metadata": {
            "name": name, "namespace": "n", "uid": name, "ownerReferences": [{"uid": owner}]}});
        Arc::new(Object::stamp(value, version))
    }

    #[test]
    fn dependents_follow_the_owner_references() {
        let resource: ResourceId = "g/things".into();
        let mut state = State::new(0, 10);
        state.publish(&resource, owned("a", "o1", 1), Change::Added);
        assert_eq!(state.dependents("o1").len(), 1);
        state.publish(&resource, owned("a", "o2", 2), Change::Modified);
        assert!(state.dependents("o1").is_empty());
        assert!(state.by_uid("a").is_some());
        state.publish(&resource, owned("a", "o2", 3), Change::Deleted);
        assert!(state.dependents("o2").is_empty() && state.by_uid("a").is_none());
        assert_eq!(state.version, 3);
    }
}
