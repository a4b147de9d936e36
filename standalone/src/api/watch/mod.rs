//! A watch: a position in a resource's history, pulled forward as the client reads.
//! A slow client holds nothing but its position; when the history has moved on past it, it gets 410 Expired.

mod encode;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::stream;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use self::encode::Encoder;
use super::{
    core::Core,
    kinds::Kind,
    respond::Format,
    selectors::Selector,
    status_error::StatusError,
    store::{Event, Object},
};

/// How many events one chunk may carry.
const CHUNK: usize = 256;
/// How long before the end of a watch its last bookmark comes.
const BEFORE_END: Duration = Duration::from_secs(2);

/// What a client asked of its watch.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) kind: Arc<Kind>,
    pub(crate) selector: Selector,
    pub(crate) format: Format,
    /// `None` starts with the present state.
    pub(crate) from: Option<u64>,
    pub(crate) bookmarks: bool,
    /// Mark the end of the present state with a bookmark.
    pub(crate) mark_initial: bool,
    pub(crate) timeout: Duration,
}

struct Watcher {
    core: Arc<Core>,
    encoder: Encoder,
    selector: Selector,
    news: watch::Receiver<u64>,
    position: u64,
    pending: Option<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    ended: bool,
}

/// Starts a watch; the body ends at its deadline, at shutdown, or when its position was forgotten.
pub(crate) fn start(core: &Arc<Core>, wish: Wish) -> Result<Body, StatusError> {
    let Wish { kind, selector, format, from, bookmarks, mark_initial, timeout } = wish;
    let encoder = Encoder { kind: Arc::clone(&kind), format };
    let state = core.store.read();
    let (Some(collection), Some(news)) = (state.collection(&kind.resource), state.subscribe(&kind.resource))
    else {
        return Err(StatusError::no_such_path());
    };
    let present: Vec<Arc<Object>> = if from.is_none() {
        collection.objects.values().filter(|object| selector.matches(&object.value)).cloned().collect()
    } else {
        vec![]
    };
    let version = state.version;
    drop(state);
    let first = opening(core, &encoder, &present, mark_initial.then_some(version));
    let deadline = Instant::now() + timeout;
    let watcher = Watcher {
        core: Arc::clone(core),
        encoder,
        selector,
        news,
        position: from.unwrap_or(version),
        pending: (!first.is_empty()).then(|| first.freeze()),
        bookmarks,
        next_bookmark: next_bookmark(core, deadline),
        deadline,
        ended: false,
    };
    let chunks = stream::unfold(watcher, |mut watcher| async move {
        let chunk = watcher.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), watcher))
    });
    Ok(Body::from_stream(chunks))
}

/// The present state, with the bookmark that ends it where one is wanted.
fn opening(core: &Core, encoder: &Encoder, present: &[Arc<Object>], end: Option<u64>) -> BytesMut {
    let mut first = BytesMut::new();
    for object in present {
        encoder.object(core.now(), "ADDED", object, &mut first);
    }
    if let Some(version) = end {
        encoder.bookmark(version, true, &mut first);
    }
    first
}

/// Bookmarks come regularly, and once more shortly before the end.
fn next_bookmark(core: &Core, deadline: Instant) -> Instant {
    let now = Instant::now();
    let last = deadline.checked_sub(BEFORE_END).filter(|last| *last > now);
    let regular = now + core.options.bookmark_interval;
    last.map_or(regular, |last| last.min(regular))
}

/// What reading the history gave.
enum Read {
    Events(Vec<Arc<Event>>),
    CaughtUp,
    Forgotten(u64),
}

impl Watcher {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.pending.take() {
            return Some(first);
        }
        while !self.ended {
            let mut chunk = BytesMut::new();
            // Marking the news as seen before reading means that nothing published later is missed.
            self.news.mark_unchanged();
            match self.read() {
                Read::Events(events) => self.encode(&events, &mut chunk),
                Read::CaughtUp => self.idle(&mut chunk).await,
                Read::Forgotten(current) => self.expire(current, &mut chunk),
            }
            if !chunk.is_empty() {
                return Some(chunk.freeze());
            }
        }
        None
    }

    fn read(&mut self) -> Read {
        let state = self.core.store.read();
        let current = state.version;
        let events = state
            .collection(&self.encoder.kind.resource)
            .and_then(|collection| collection.history.after(self.position, CHUNK));
        match events {
            // A position from the future belongs to another data folder; its holder must list again.
            _ if self.position > current => Read::Forgotten(current),
            None => Read::Forgotten(current),
            Some(events) if events.is_empty() => {
                self.position = self.position.max(current);
                Read::CaughtUp
            }
            Some(events) => Read::Events(events),
        }
    }

    fn encode(&mut self, events: &[Arc<Event>], chunk: &mut BytesMut) {
        for event in events {
            self.encoder.event(self.core.now(), &self.selector, event, chunk);
            self.position = event.version();
        }
    }

    /// Waits for news, for the next bookmark or for the end.
    async fn idle(&mut self, chunk: &mut BytesMut) {
        tokio::select! {
            biased;
            () = self.core.stop.cancelled() => self.ended = true,
            changed = self.news.changed() => self.ended = changed.is_err(),
            () = sleep_until(self.deadline) => {
                self.ended = true;
            }
            () = sleep_until(self.next_bookmark), if self.bookmarks => {
                self.next_bookmark = next_bookmark(&self.core, self.deadline);
                self.encoder.bookmark(self.position, false, chunk);
            }
        }
    }

    fn expire(&mut self, current: u64, chunk: &mut BytesMut) {
        self.ended = true;
        let text = format!("too old resource version: {} ({current})", self.position);
        encode::line("ERROR", StatusError::expired(text).to_value().to_string().as_bytes(), chunk);
    }
}
