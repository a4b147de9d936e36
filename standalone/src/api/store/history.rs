//! What happened to one resource lately, for watches to resume over. Bounded by number and by memory.
//! Not here: who watches (`watch`). Watchers keep a position and pull, so nothing is buffered for a slow one.

use std::{collections::VecDeque, sync::Arc};

use super::object::Object;

/// The most memory that one resource's history holds. An object that two events share counts twice, so it is less.
/// The latest event stays whatever it weighs.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One committed change. `previous` lets a selector see that an object came into or left its view.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) change: Change,
    pub(crate) object: Arc<Object>,
    pub(crate) previous: Option<Arc<Object>>,
}

impl Event {
    pub(crate) fn version(&self) -> u64 {
        self.object.version
    }

    fn weight(&self) -> usize {
        self.object.weight + self.previous.as_ref().map_or(0, |previous| previous.weight)
    }
}

/// The events after `floor`, in order of their versions.
#[derive(Debug)]
pub(crate) struct History {
    events: VecDeque<Arc<Event>>,
    floor: u64,
    bytes: usize,
    most: usize,
}

impl History {
    pub(crate) fn new(floor: u64, most: usize) -> Self {
        Self { events: VecDeque::new(), floor, bytes: 0, most: most.max(1) }
    }

    pub(crate) fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.weight();
        self.events.push_back(event);
        while self.events.len() > self.most || (self.bytes > MAX_BYTES && self.events.len() > 1) {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.weight());
            self.floor = oldest.version();
        }
    }

    /// Up to `most` events after `version`, or nothing when some of them are already forgotten.
    pub(crate) fn after(&self, version: u64, most: usize) -> Option<Vec<Arc<Event>>> {
        if version < self.floor {
            return None;
        }
        let start = self.events.partition_point(|event| event.version() <= version);
        Some(self.events.iter().skip(start).take(most).cloned().collect())
    }

    /// The events after `version`, newest first: undoing them gives the state at `version`.
    pub(crate) fn undo(&self, version: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        (version >= self.floor)
            .then(|| self.events.iter().rev().take_while(move |event| event.version() > version))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(version: u64) -> Arc<Event> {
        let object = Object::stamp(json!({"metadata": {"name": "x"}}), version);
        Arc::new(Event { change: Change::Modified, object: Arc::new(object), previous: None })
    }

    fn versions(history: &History, after: u64) -> Option<Vec<u64>> {
        history.after(after, 100).map(|events| events.iter().map(|event| event.version()).collect())
    }

    #[test]
    fn events_come_back_in_order_after_a_version() {
        let mut history = History::new(4, 10);
        for version in [5, 7, 9] {
            history.push(event(version));
        }
        assert_eq!(versions(&history, 4), Some(vec![5, 7, 9]));
        assert_eq!(versions(&history, 6), Some(vec![7, 9]));
        assert_eq!(versions(&history, 9), Some(vec![]));
        assert_eq!(versions(&history, 3), None);
    }

    #[test]
    fn old_and_new_objects_count_against_the_memory() {
        let large = |version| {
            let value = json!({"metadata": {"name": "x"}, "data": "x".repeat(MAX_BYTES / 40)});
            Arc::new(Object::stamp(value, version))
        };
        let mut history = History::new(0, 1000);
        for version in 1..=100 {
            let (object, previous) = (large(version), Some(large(version)));
            history.push(Arc::new(Event { change: Change::Modified, object, previous }));
        }
        // Text and tree, twice each.
        assert_eq!(history.events.len(), 9);
        assert!(history.bytes <= MAX_BYTES);
        let held: usize = history.events.iter().map(|event| event.weight()).sum();
        assert_eq!(history.bytes, held);
        let huge = Object::stamp(json!({"metadata": {}, "data": "x".repeat(MAX_BYTES)}), 101);
        history.push(Arc::new(Event { change: Change::Added, object: Arc::new(huge), previous: None }));
        assert_eq!(versions(&history, 100), Some(vec![101]), "the latest event stays");
    }

    #[test]
    fn what_fell_out_of_the_ring_cannot_be_resumed_over() {
        let mut history = History::new(0, 2);
        for version in [1, 2, 3] {
            history.push(event(version));
        }
        assert_eq!(versions(&history, 0), None);
        assert_eq!(versions(&history, 1), Some(vec![2, 3]));
    }
}
