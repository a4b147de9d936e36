//! One watch for all waiting requests of a tenant: object name → channel. A waiter is a receiver; its deadline is the
//! caller's. Nothing is polled and nothing is kept of objects that nobody waits for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crds::{CodeExecution, labels};
use kube::{
    Api, ResourceExt,
    runtime::{watcher, watcher::Event},
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::watch::{InSync, watch_until};

/// What is known of the object that somebody waits for.
#[derive(Debug, Clone)]
pub enum Seen {
    /// Nothing yet.
    Nothing,
    /// Its latest state.
    Object(Arc<CodeExecution>),
    /// It is gone.
    Deleted,
    /// The watch began anew and did not list it: it is not created yet, or it is gone.
    Unlisted,
}

/// The waiting requests of one tenant on this replica.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<HashMap<String, watch::Sender<Seen>>>);

/// One of them; forgotten when dropped.
#[derive(Debug)]
pub struct Waiter {
    name: String,
    seen: watch::Receiver<Seen>,
    waiters: Arc<Waiters>,
}

impl Waiters {
    /// Begins to wait for an object that is about to be created.
    #[must_use]
    pub fn register(self: &Arc<Self>, name: &str) -> Waiter {
        let (sender, seen) = watch::channel(Seen::Nothing);
        self.0.lock().insert(name.to_owned(), sender);
        Waiter { name: name.to_owned(), seen, waiters: Arc::clone(self) }
    }

    /// Tells the one who waits for this object, if anybody does.
    fn tell(&self, name: &str, seen: Seen) {
        if let Some(sender) = self.0.lock().get(name) {
            sender.send_replace(seen);
        }
    }

    /// Everybody whose object was not in the list looks for it.
    fn tell_unlisted(&self, listed: &HashSet<String>) {
        for (name, sender) in self.0.lock().iter().filter(|(name, _)| !listed.contains(*name)) {
            tracing::debug!(execution = name, "not in the list of a new watch");
            sender.send_replace(Seen::Unlisted);
        }
    }

    /// Reads one event; `listed` collects a list while it comes in.
    fn read(&self, event: Event<CodeExecution>, listed: &mut HashSet<String>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.insert(object.name_any());
                self.tell(&object.name_any(), Seen::Object(Arc::new(object)));
            }
            Event::InitDone => {
                self.tell_unlisted(listed);
                listed.clear();
            }
            Event::Apply(object) => self.tell(&object.name_any(), Seen::Object(Arc::new(object))),
            Event::Delete(object) => self.tell(&object.name_any(), Seen::Deleted),
        }
    }
}

impl Waiter {
    /// A second receiver of the same news.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// Waits for news, and takes them.
    pub async fn next(&mut self) -> Seen {
        // The sender lives in the registry as long as this waiter does.
        let _closed = self.seen.changed().await;
        self.seen.borrow_and_update().clone()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiters.0.lock().remove(&self.name);
    }
}

/// The selector of what one replica makes.
#[must_use]
pub fn replica_selector(replica: &str) -> String {
    format!("{}={replica}", labels::REPLICA)
}

/// Runs the watch until shutdown.
pub async fn watch_executions(
    api: Api<CodeExecution>,
    replica: &str,
    waiters: Arc<Waiters>,
    in_sync: &InSync,
    shutdown: CancellationToken,
) {
    let config = watcher::Config::default().labels(&replica_selector(replica));
    let mut listed = HashSet::new();
    watch_until(api, config, in_sync, shutdown, |event| waiters.read(event, &mut listed)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> CodeExecution {
        let spec = serde_json::from_value(serde_json::json!({"code": ""})).expect("a spec");
        CodeExecution::new(name, spec)
    }

    #[tokio::test]
    async fn news_reach_the_one_who_waits() {
        let waiters = Arc::new(Waiters::default());
        let mut listed = HashSet::new();
        let (mut first, mut second) = (waiters.register("a"), waiters.register("b"));
        waiters.read(Event::Apply(object("a")), &mut listed);
        assert!(matches!(first.next().await, Seen::Object(found) if found.name_any() == "a"));
        waiters.read(Event::Delete(object("b")), &mut listed);
        assert!(matches!(second.next().await, Seen::Deleted));
    }

    #[tokio::test]
    async fn after_a_new_list_only_the_unlisted_are_unsure() {
        let waiters = Arc::new(Waiters::default());
        let mut listed = HashSet::new();
        let (mut there, mut gone) = (waiters.register("there"), waiters.register("gone"));
        for event in [Event::Init, Event::InitApply(object("there")), Event::InitDone] {
            waiters.read(event, &mut listed);
        }
        assert!(matches!(there.next().await, Seen::Object(_)));
        assert!(matches!(gone.next().await, Seen::Unlisted));
    }

    #[test]
    fn a_waiter_that_is_dropped_is_forgotten() {
        let waiters = Arc::new(Waiters::default());
        drop(waiters.register("a"));
        assert!(waiters.0.lock().is_empty());
        waiters.read(Event::Apply(object("a")), &mut HashSet::new());
    }
}
