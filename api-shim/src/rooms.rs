//! How many more executions each pool of a tenant takes, as the pools say: a request that finds none is refused before
//! anything is created. Between two statuses of a pool our own creates are subtracted; those of other replicas
//! are not known here, so all replicas together may go over the room by what they create in one status interval.
//!
//! A pool that says nothing, or has said nothing new for a while, refuses nobody: then the operator decides.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crds::SandboxPool;
use kube::{
    Api, ResourceExt,
    runtime::{watcher, watcher::Event},
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::watch::{InSync, watch_until};

/// A status that is older says nothing any more: its operator or the watch may be gone.
const STALE: Duration = Duration::from_secs(30);
/// What was created so shortly before a status came in may not be counted in it.
const LAG: Duration = Duration::from_millis(250);

/// The rooms of all pools of a tenant.
#[derive(Debug, Default)]
pub struct Rooms(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    pools: HashMap<String, Pool>,
    next: u64,
}

#[derive(Debug, Default)]
struct Pool {
    /// As published, and when that came in.
    room: Option<(usize, Instant)>,
    /// Ours that the published number does not know of, and since when they are.
    claims: HashMap<u64, Instant>,
}

/// One execution's part of a room until its end.
#[derive(Debug)]
pub struct Claim {
    rooms: Arc<Rooms>,
    pool: String,
    id: u64,
}

/// The pool has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken;

impl Rooms {
    /// Takes a place in a pool.
    pub fn claim(self: &Arc<Self>, pool: &str, now: Instant) -> Result<Claim, Taken> {
        let mut inner = self.0.lock();
        let id = inner.next;
        inner.next += 1;
        let known = inner.pools.entry(pool.to_owned()).or_default();
        let fresh = known.room.filter(|(_, seen)| now.saturating_duration_since(*seen) <= STALE);
        if fresh.is_some_and(|(room, _)| room <= known.claims.len()) {
            return Err(Taken);
        }
        known.claims.insert(id, now);
        Ok(Claim { rooms: Arc::clone(self), pool: pool.to_owned(), id })
    }

    /// Takes in what a pool says.
    fn see(&self, pool: &SandboxPool, now: Instant) {
        let mut inner = self.0.lock();
        let known = inner.pools.entry(pool.name_any()).or_default();
        known.room = published(pool).map(|room| (room, now));
        known.claims.retain(|_, since| now.saturating_duration_since(*since) < LAG);
    }

    fn forget(&self, pool: &str) {
        if let Some(known) = self.0.lock().pools.get_mut(pool) {
            known.room = None;
        }
    }

    /// Reads one event; `listed` collects a list while it comes in.
    fn read(&self, event: Event<SandboxPool>, listed: &mut HashSet<String>, now: Instant) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(pool) => {
                listed.insert(pool.name_any());
                self.see(&pool, now);
            }
            Event::InitDone => {
                let mut inner = self.0.lock();
                let gone = inner.pools.iter_mut().filter(|(name, _)| !listed.contains(*name));
                gone.for_each(|(_, pool)| pool.room = None);
            }
            Event::Apply(pool) => self.see(&pool, now),
            Event::Delete(pool) => self.forget(&pool.name_any()),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut inner = self.rooms.0.lock();
        let Some(pool) = inner.pools.get_mut(&self.pool) else { return };
        pool.claims.remove(&self.id);
        // Nobody must fill the memory with the names of pools that do not exist.
        if pool.claims.is_empty() && pool.room.is_none() {
            inner.pools.remove(&self.pool);
        }
    }
}

/// The published room. A status that nobody has counted yet says 0 as well; but then the queue is not full.
fn published(pool: &SandboxPool) -> Option<usize> {
    let status = pool.status.as_ref()?;
    let room = usize::try_from(status.room).unwrap_or(0);
    (room > 0 || status.queued >= pool.spec.queue.depth).then_some(room)
}

/// Runs the watch until shutdown.
pub async fn watch_pools(api: Api<SandboxPool>, rooms: Arc<Rooms>, shutdown: CancellationToken) {
    let mut listed = HashSet::new();
    let read = |event| rooms.read(event, &mut listed, Instant::now());
    // Whether these are news or not is asked by nobody: what is old refuses nobody.
    watch_until(api, watcher::Config::default(), &InSync::default(), shutdown, read).await;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pool(room: i32, queued: i32, depth: i32) -> SandboxPool {
        serde_json::from_value(json!({
            "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": "p"},
            "spec": {"queue": {"depth": depth}}, "status": {"room": room, "queued": queued}
        }))
        .expect("a pool")
    }

    fn rooms(said: &SandboxPool, now: Instant) -> Arc<Rooms> {
        let rooms = Arc::new(Rooms::default());
        rooms.see(said, now);
        rooms
    }

    #[test]
    fn only_a_zero_that_was_counted_is_no_room() {
        assert_eq!(published(&pool(3, 0, 64)), Some(3));
        assert_eq!(published(&pool(0, 64, 64)), Some(0));
        assert_eq!(published(&pool(0, 0, 0)), Some(0), "without a queue only idle pods count");
        assert_eq!(published(&pool(0, 0, 64)), None, "a status that nobody has counted");
        assert_eq!(published(&SandboxPool { status: None, ..pool(0, 0, 0) }), None);
    }

    #[test]
    fn several_at_once_do_not_go_over_the_room_and_an_end_gives_it_back() {
        let now = Instant::now();
        let rooms = rooms(&pool(2, 0, 64), now);
        let first = rooms.claim("p", now).expect("room");
        let _second = rooms.claim("p", now).expect("room");
        assert_eq!(rooms.claim("p", now).err(), Some(Taken));
        drop(first);
        assert!(rooms.claim("p", now).is_ok());
    }

    #[test]
    fn a_new_status_knows_of_earlier_creates_but_not_of_the_latest() {
        let start = Instant::now();
        let later = start + LAG;
        let rooms = rooms(&pool(2, 0, 64), start);
        let _early = rooms.claim("p", start).expect("room");
        let _latest = rooms.claim("p", later).expect("room");
        rooms.see(&pool(2, 0, 64), later);
        let _third = rooms.claim("p", later).expect("room: the early one is counted in the status");
        assert_eq!(rooms.claim("p", later).err(), Some(Taken), "the latest is not");
    }

    #[test]
    fn a_status_that_is_absent_or_old_refuses_nobody() {
        let now = Instant::now();
        let rooms = rooms(&pool(0, 64, 64), now);
        assert!(rooms.claim("other", now).is_ok());
        assert!(rooms.claim("p", now + STALE).is_err());
        assert!(rooms.claim("p", now + STALE + Duration::from_secs(1)).is_ok());
        rooms.read(Event::Delete(pool(0, 64, 64)), &mut HashSet::new(), now);
        assert!(rooms.claim("p", now).is_ok());
        assert!(rooms.0.lock().pools.is_empty(), "nothing is kept of pools that nobody uses");
    }

    #[test]
    fn a_pool_that_a_new_list_does_not_name_is_forgotten() {
        let now = Instant::now();
        let rooms = rooms(&pool(0, 64, 64), now);
        let mut listed = HashSet::new();
        for event in [Event::Init, Event::InitDone] {
            rooms.read(event, &mut listed, now);
        }
        assert!(rooms.claim("p", now).is_ok());
    }
}
