//! What has been asked of the API and is not seen in the watch yet, so that a late watch never leads to too many
//! pods. Pure; names and uids are exact, so nothing is guessed from counts.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

/// After this an expectation is given up: its event was missed in a gap of the watch.
const EXPIRY: Duration = Duration::from_mins(1);

/// Pods of one pool that are being made or deleted.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    created: HashMap<String, Instant>,
    deleted: HashMap<String, Instant>,
}

impl Expectations {
    /// A pod of that name is about to be created.
    pub(crate) fn create(&mut self, name: &str, now: Instant) {
        self.created.insert(name.to_owned(), now);
    }

    /// It was not created after all, or the watch has shown it.
    pub(crate) fn seen(&mut self, name: &str) {
        self.created.remove(name);
    }

    /// The pod of that uid is about to be deleted.
    pub(crate) fn delete(&mut self, uid: &str, now: Instant) {
        self.deleted.insert(uid.to_owned(), now);
    }

    /// It was not deleted after all, or the watch has shown that it goes.
    pub(crate) fn leaving(&mut self, uid: &str) {
        self.deleted.remove(uid);
    }

    /// How many pods will come that `known` does not have yet.
    pub(crate) fn coming(&mut self, known: &HashSet<&str>, now: Instant) -> usize {
        self.created.retain(|_, since| now.duration_since(*since) < EXPIRY);
        self.created.keys().filter(|name| !known.contains(name.as_str())).count()
    }

    /// Whether that pod is being deleted already.
    pub(crate) fn is_leaving(&self, uid: &str, now: Instant) -> bool {
        self.deleted.get(uid).is_some_and(|since| now.duration_since(*since) < EXPIRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_the_watch_does_not_show_yet_counts_once() {
        let (mut expected, now) = (Expectations::default(), Instant::now());
        expected.create("a", now);
        expected.create("b", now);
        assert_eq!(expected.coming(&HashSet::new(), now), 2);
        assert_eq!(
            expected.coming(&HashSet::from(["a"]), now),
            1,
            "the cache has it, so it is not counted twice"
        );
        expected.seen("b");
        assert_eq!(expected.coming(&HashSet::new(), now), 1);
    }

    #[test]
    fn an_expectation_whose_event_was_missed_expires() {
        let (mut expected, now) = (Expectations::default(), Instant::now());
        expected.create("a", now);
        expected.delete("u", now);
        assert!(expected.is_leaving("u", now));
        assert_eq!(expected.coming(&HashSet::new(), now + EXPIRY), 0);
        assert!(!expected.is_leaving("u", now + EXPIRY));
    }
}
