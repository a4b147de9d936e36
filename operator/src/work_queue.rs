//! Which objects must be looked at: each at most once at a time, at once or at a later moment.
//!
//! It has no rounding to timer ticks on the way of an event that is due now, because that way is the hot path.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// A queue of keys. Clones are the same queue.
pub(crate) struct WorkQueue<K> {
    state: Arc<Mutex<State<K>>>,
    wake: Arc<Notify>,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), wake: Arc::clone(&self.wake) }
    }
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    pub(crate) fn new() -> Self {
        Self { state: Arc::new(Mutex::new(State::default())), wake: Arc::new(Notify::new()) }
    }

    /// Looks at `key` as soon as possible.
    pub(crate) fn push(&self, key: K) {
        self.state.lock().push(key);
        self.wake.notify_one();
    }

    /// Looks at `key` at `at`, unless it is looked at earlier. A later call replaces the moment.
    pub(crate) fn push_at(&self, key: K, at: Instant) {
        self.state.lock().push_at(key, at);
        self.wake.notify_one();
    }

    /// The next key. It is not given out again before [`Self::done`].
    pub(crate) async fn next(&self) -> K {
        loop {
            let (found, due) = {
                let mut state = self.state.lock();
                (state.take(Instant::now()), state.next_due())
            };
            if let Some(key) = found {
                return key;
            }
            match due {
                Some(due) => {
                    tokio::select! { () = self.wake.notified() => {} () = sleep_until(due) => {} }
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// `key` has been looked at; `next` is when to look again even if nothing happens. A sooner moment that was
    /// asked for meanwhile stays.
    pub(crate) fn done(&self, key: &K, next: Option<Instant>) {
        let mut state = self.state.lock();
        state.done(key);
        if let Some(at) = next.filter(|at| state.due.get(key).is_none_or(|(due, _)| at < due)) {
            state.push_at(key.clone(), at);
        }
        drop(state);
        self.wake.notify_one();
    }
}

/// The pure part.
struct State<K> {
    ready: VecDeque<K>,
    queued: HashSet<K>,
    active: HashSet<K>,
    timers: BTreeMap<(Instant, u64), K>,
    due: HashMap<K, (Instant, u64)>,
    sequence: u64,
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            queued: HashSet::new(),
            active: HashSet::new(),
            timers: BTreeMap::new(),
            due: HashMap::new(),
            sequence: 0,
        }
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn push(&mut self, key: K) {
        if self.queued.insert(key.clone()) && !self.active.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn push_at(&mut self, key: K, at: Instant) {
        self.forget_timer(&key);
        self.sequence += 1;
        self.timers.insert((at, self.sequence), key.clone());
        self.due.insert(key, (at, self.sequence));
    }

    fn forget_timer(&mut self, key: &K) {
        if let Some(slot) = self.due.remove(key) {
            self.timers.remove(&slot);
        }
    }

    fn take(&mut self, now: Instant) -> Option<K> {
        while let Some((slot, key)) = self.timers.first_key_value().map(|(s, k)| (*s, k.clone()))
            && slot.0 <= now
        {
            self.forget_timer(&key);
            self.push(key);
        }
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        // Whoever looks now sees everything, so the timer has done its work.
        self.forget_timer(&key);
        self.active.insert(key.clone());
        Some(key)
    }

    fn done(&mut self, key: &K) {
        if self.active.remove(key) && self.queued.contains(key) {
            self.ready.push_back(key.clone());
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|(slot, _)| slot.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_is_given_out_once_until_it_is_done() {
        let (mut state, now) = (State::default(), Instant::now());
        state.push("a");
        state.push("a");
        assert_eq!(state.take(now), Some("a"));
        assert_eq!(state.take(now), None);
        state.push("a");
        assert_eq!(state.take(now), None, "it is being looked at");
        state.done(&"a");
        assert_eq!(state.take(now), Some("a"), "what came meanwhile is not lost");
        state.done(&"a");
        assert_eq!(state.take(now), None);
    }

    #[test]
    fn a_timer_fires_when_it_is_due_and_is_replaced_by_a_later_call() {
        let (mut state, now) = (State::default(), Instant::now());
        let second = Duration::from_secs(1);
        state.push_at("a", now + second);
        state.push_at("a", now + 3 * second);
        assert_eq!(state.take(now + 2 * second), None);
        assert_eq!(state.next_due(), Some(now + 3 * second));
        assert_eq!(state.take(now + 3 * second), Some("a"));
        assert_eq!(state.next_due(), None);
    }

    #[test]
    fn an_event_takes_the_timer_with_it() {
        let (mut state, now) = (State::default(), Instant::now());
        state.push_at("a", now + Duration::from_secs(1));
        state.push("a");
        assert_eq!(state.take(now), Some("a"));
        assert!(state.timers.is_empty() && state.due.is_empty());
    }
}
