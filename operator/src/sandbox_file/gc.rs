//! The end of bytes: when nothing refers to them, and has not for a while. One task deletes them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, RwLock, RwLockReadGuard},
    time::{Instant, sleep_until},
};

use crate::context::Context;

/// How often forgotten staging keys are looked for.
const SWEEP: Duration = Duration::from_mins(10);
/// Staged bytes that nobody has written to for so long were left behind.
const STAGING_AGE: Duration = Duration::from_hours(1);
/// How much longer a touch is remembered than bytes are kept.
const REMEMBER: u32 = 4;

/// Bytes that may have lost their last reference.
#[derive(Debug)]
pub(crate) struct Gc {
    state: Mutex<State>,
    wake: Notify,
    grace: Duration,
    /// Everything that may refer to bytes is known.
    listed: AtomicBool,
    /// Read by those who put bytes in place, written by who deletes some: the same bytes must not come into place
    /// between the decision that they go and their deletion.
    placing: RwLock<()>,
}

#[derive(Debug, Default)]
struct State {
    candidates: HashMap<String, Instant>,
    /// When bytes were last put, because the object that refers to them comes a moment later.
    touched: HashMap<String, Instant>,
}

impl Gc {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            grace,
            listed: AtomicBool::new(false),
            placing: RwLock::default(),
        }
    }

    /// To be held from before bytes are put in place until they are touched. Nothing slow may happen meanwhile.
    pub(crate) async fn placing(&self) -> RwLockReadGuard<'_, ()> {
        self.placing.read().await
    }

    /// Everything that may refer to bytes is known from now on.
    pub(crate) fn listed(&self) {
        self.listed.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// The bytes were put just now.
    pub(crate) fn touch(&self, digest: &str) {
        self.state.lock().touch(digest, Instant::now(), self.grace);
    }

    /// A reference to the bytes is gone.
    pub(crate) fn consider(&self, digest: &str) {
        self.state.lock().consider(digest, Instant::now(), self.grace);
        self.wake.notify_one();
    }
}

/// The pure part.
impl State {
    fn touch(&mut self, digest: &str, now: Instant, grace: Duration) {
        if self.touched.len() > 1024 {
            let oldest = grace * REMEMBER;
            self.touched.retain(|_, at| now.duration_since(*at) < oldest);
        }
        self.touched.insert(digest.to_owned(), now);
    }

    fn consider(&mut self, digest: &str, now: Instant, grace: Duration) {
        self.candidates.insert(digest.to_owned(), now + grace);
    }

    /// The bytes whose time has come, and when the next ones are due.
    fn due(&mut self, now: Instant, grace: Duration) -> (Vec<String>, Option<Instant>) {
        let Self { candidates, touched } = self;
        for (digest, due) in candidates.iter_mut() {
            if let Some(put) = touched.get(digest) {
                *due = (*due).max(*put + grace);
            }
        }
        let ready: Vec<String> =
            candidates.iter().filter(|(_, due)| **due <= now).map(|(digest, _)| digest.clone()).collect();
        for digest in &ready {
            candidates.remove(digest);
        }
        (ready, candidates.values().min().copied())
    }

    /// Whether bytes that were due may go now. Those that were put meanwhile are candidates again.
    fn may_go(&mut self, digest: &str, now: Instant, grace: Duration) -> bool {
        match self.touched.get(digest) {
            Some(put) if *put + grace > now => {
                let due = *put + grace;
                self.candidates.insert(digest.to_owned(), due);
                false
            }
            _ => {
                self.touched.remove(digest);
                true
            }
        }
    }
}

/// Deletes unreferenced bytes, for ever.
pub(crate) async fn run(context: Arc<Context>) {
    let mut sweep = Instant::now() + SWEEP;
    loop {
        let now = Instant::now();
        // Before everything was listed, nobody knows what is referred to.
        let (ready, next) = if context.gc.listed.load(Ordering::SeqCst) {
            context.gc.state.lock().due(now, context.gc.grace)
        } else {
            (Vec::new(), None)
        };
        for digest in ready {
            delete(&context, &digest).await;
        }
        tokio::select! {
            () = context.gc.wake.notified() => {}
            () = sleep_until(next.unwrap_or(sweep)), if next.is_some() => {}
            () = sleep_until(sweep) => {
                sweep = Instant::now() + SWEEP;
                let now = std::time::SystemTime::from(context.clock.now());
                if let Err(error) = context.blobs.sweep_staging(now, STAGING_AGE).await {
                    tracing::warn!(%error, "the staging area could not be swept");
                }
            }
        }
    }
}

async fn delete(context: &Context, digest: &str) {
    let _nobody_places = context.gc.placing.write().await;
    if context.files.keeps(digest) || context.ttl.keeps(digest) {
        return;
    }
    let Ok(name) = digest.parse() else { return };
    // Others were deleted since it was found due, which may have taken long.
    if !context.gc.state.lock().may_go(digest, Instant::now(), context.gc.grace) {
        return;
    }
    if context.term.check().is_err() {
        // A successor may have put them again.
        context.gc.consider(digest);
        return;
    }
    if let Err(error) = context.blobs.delete(&name).await {
        tracing::warn!(%error, "unreferenced bytes could not be deleted; they are tried again");
        context.gc.consider(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_mins(1);

    #[test]
    fn bytes_are_due_after_their_grace_and_not_while_they_were_put_again() {
        let (mut state, start) = (State::default(), Instant::now());
        state.consider("a", start, GRACE);
        state.consider("b", start, GRACE);
        state.touch("b", start + GRACE / 2, GRACE);
        let (ready, next) = state.due(start + GRACE, GRACE);
        assert_eq!(ready, ["a"]);
        assert_eq!(next, Some(start + GRACE + GRACE / 2));
    }

    #[test]
    fn bytes_that_are_put_after_they_were_due_stay() {
        let (mut state, start) = (State::default(), Instant::now());
        state.consider("a", start, GRACE);
        assert_eq!(state.due(start + GRACE, GRACE).0, ["a"]);
        state.touch("a", start + GRACE, GRACE);
        assert!(!state.may_go("a", start + GRACE, GRACE));
        assert_eq!(state.due(start + GRACE, GRACE), (Vec::new(), Some(start + GRACE * 2)));
        assert_eq!(state.due(start + GRACE * 2, GRACE).0, ["a"]);
        assert!(state.may_go("a", start + GRACE * 2, GRACE));
    }
}
