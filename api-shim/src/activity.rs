//! Whether a connection still does anything: an HTTP/2 connection has no end of its own, and its client may
//! keep it open without taking the answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// What happens on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    requests: usize,
    answers: usize,
    last: Instant,
}

/// A request without an answer, or an answer that is being sent.
#[derive(Debug)]
pub(crate) struct Busy {
    activity: Activity,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Request,
    Answer,
}

impl Activity {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Inner { requests: 0, answers: 0, last: now })))
    }

    pub(crate) fn request(&self) -> Busy {
        self.begin(Kind::Request)
    }

    pub(crate) fn answer(&self) -> Busy {
        self.begin(Kind::Answer)
    }

    fn begin(&self, kind: Kind) -> Busy {
        self.change(kind, |count| count + 1);
        Busy { activity: self.clone(), kind }
    }

    fn change(&self, kind: Kind, change: impl FnOnce(usize) -> usize) {
        let mut inner = self.0.lock();
        inner.last = Instant::now();
        let count = match kind {
            Kind::Request => &mut inner.requests,
            Kind::Answer => &mut inner.answers,
        };
        *count = change(*count);
    }

    /// Whether nothing has gone on for so long: no request waits for its answer, and no answer moves on.
    pub(crate) fn is_still(&self, now: Instant, idle: Duration, stuck: Duration) -> bool {
        let inner = self.0.lock();
        let most = if inner.answers > 0 { stuck } else { idle };
        inner.requests == 0 && now.saturating_duration_since(inner.last) > most
    }
}

impl Busy {
    /// A piece of the answer was taken.
    pub(crate) fn went_on(&self) {
        self.activity.change(self.kind, |count| count);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.change(self.kind, |count| count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(30);
    const STUCK: Duration = Duration::from_mins(1);

    #[test]
    fn only_a_connection_on_which_nothing_goes_on_is_still() {
        let activity = Activity::new(Instant::now());
        let still = |seconds| activity.is_still(Instant::now() + Duration::from_secs(seconds), IDLE, STUCK);
        assert!(!still(29) && still(31));
        let request = activity.request();
        assert!(!still(3600), "a run may take its time");
        drop(request);
        let answer = activity.answer();
        assert!(!still(59) && still(61));
        answer.went_on();
        drop(answer);
        assert!(!still(29) && still(31));
    }
}
