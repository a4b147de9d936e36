//! What all requests share: the configuration, the one slot for a run, the probe's answer.

use std::{sync::Arc, time::Instant};

use axum::http::HeaderMap;
use parking_lot::Mutex;
use protocol::{Claims, Inventory, Method, PROTOCOL_VERSION, Readiness, RunState};
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    authorize,
    clock::unix_milliseconds,
    config::Config,
    error::ApiError,
    held::HeldRun,
    probe::{Probe, Python},
    registry::{Claimed, Registry, ResetError, StillRunning},
    run,
};

/// Shared by every request.
#[derive(Debug)]
pub(crate) struct App {
    pub config: Config,
    registry: Mutex<Registry>,
    /// Held by whoever removes what a run left on the disk.
    pub disk: Mutex<()>,
    probe: watch::Sender<Probe>,
    /// When the operator was last heard, or first had a reason to ask.
    heard: Mutex<Instant>,
    /// Told whenever the executor may have become free to go.
    pub released: Notify,
    /// Open connections, and the order to finish them.
    pub connections: TaskTracker,
    pub closing: CancellationToken,
}

impl App {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            registry: Mutex::default(),
            disk: Mutex::default(),
            probe: watch::Sender::new(Probe::Pending),
            heard: Mutex::new(Instant::now()),
            released: Notify::new(),
            connections: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Whether the request may do this; a higher epoch is remembered.
    pub(crate) fn authorize(
        &self,
        headers: &HeaderMap,
        method: Method,
        execution: Option<&str>,
    ) -> Result<Claims, ApiError> {
        let header = authorize::header(headers)?;
        let expected = protocol::Expectation { method, execution, pod_uid: &self.config.pod_uid };
        let mut registry = self.registry.lock();
        let claims = protocol::token::verify(
            header,
            &self.config.keys,
            expected,
            registry.epoch(),
            unix_milliseconds(),
        )?;
        registry.raise_epoch(claims.epoch);
        self.hear();
        Ok(claims)
    }

    /// The operator asked, takes an answer, or has a reason to ask from now on.
    pub(crate) fn hear(&self) {
        *self.heard.lock() = Instant::now();
    }

    /// The held run of that uid.
    pub(crate) fn held(&self, uid: &str) -> Result<Arc<HeldRun>, ApiError> {
        self.registry.lock().held(uid).ok_or(ApiError::UnknownExecution)
    }

    /// Takes the slot for a new run, or finds the run that has it.
    pub(crate) fn claim(&self, uid: &str, claims: &Claims) -> Result<Claimed, ApiError> {
        self.python()?;
        Ok(self.registry.lock().claim(uid, claims, unix_milliseconds())?)
    }

    /// Drops the outcome of that uid and refuses it from now on.
    pub(crate) fn acknowledge(&self, uid: &str) -> Result<Option<Arc<HeldRun>>, StillRunning> {
        let run = self.registry.lock().acknowledge(uid)?;
        self.released.notify_one();
        Ok(run)
    }

    /// Keeps the slot from everybody until `end_reset`. The answer is every uid that ever had it.
    pub(crate) fn begin_reset(&self, uid: &str, claims: &Claims) -> Result<Vec<String>, ResetError> {
        self.registry.lock().begin_reset(uid, claims, unix_milliseconds())
    }

    /// Frees the slot when it was proved that nothing is left.
    pub(crate) fn end_reset(&self, proved: bool) {
        self.registry.lock().end_reset(proved);
    }

    /// The interpreter, once it was found to work.
    pub(crate) fn python(&self) -> Result<Python, ApiError> {
        match &*self.probe.borrow() {
            Probe::Usable(python) => Ok(python.clone()),
            Probe::Pending => Err(ApiError::NotReady("the interpreter is still being probed".to_owned())),
            Probe::Unusable(reason) => Err(ApiError::NotReady(reason.clone())),
        }
    }

    pub(crate) fn set_probe(&self, probe: Probe) {
        self.probe.send_replace(probe);
    }

    /// Refuses starts from now on.
    pub(crate) fn drain(&self) {
        self.hear();
        self.registry.lock().drain();
        self.released.notify_one();
    }

    /// What is held, and since when the operator was not heard.
    pub(crate) fn awaited(&self) -> (Option<RunState>, Instant) {
        (self.registry.lock().state(), *self.heard.lock())
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let (ready, message) = match (&*self.probe.borrow(), self.registry.lock().draining()) {
            (_, true) => (false, "draining".to_owned()),
            (Probe::Pending, _) => (false, "the interpreter is being probed".to_owned()),
            (Probe::Unusable(reason), _) => (false, reason.clone()),
            (Probe::Usable(_), false) => (true, "ready".to_owned()),
        };
        Readiness { ready, message, isolation: run::isolation() }
    }

    pub(crate) fn inventory(&self) -> Inventory {
        let registry = self.registry.lock();
        Inventory {
            protocol_version: PROTOCOL_VERSION,
            pod_uid: self.config.pod_uid.clone(),
            epoch: registry.epoch(),
            draining: registry.draining(),
            vacant: registry.vacant(),
            used: registry.used(),
            clock_unix_milliseconds: unix_milliseconds(),
            isolation: run::isolation(),
            runs: registry.runs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use protocol::{SigningKey, token};

    use super::*;

    fn headers(pod_uid: &str) -> HeaderMap {
        let key = SigningKey::from_seed("k", &[1; 32]).unwrap();
        let claims = Claims {
            key_id: "k".to_owned(),
            method: Method::Inventory,
            execution_uid: None,
            pod_uid: pod_uid.to_owned(),
            epoch: 1,
            expires_unix_milliseconds: unix_milliseconds() + 30_000,
        };
        let token = HeaderValue::try_from(token::sign(&key, &claims)).unwrap();
        HeaderMap::from_iter([(token::HEADER.parse().unwrap(), token)])
    }

    #[test]
    fn who_may_ask_is_heard_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let app = App::new(Config::new(crate::config::tests::args(dir.path())).unwrap());
        let (held, before) = app.awaited();
        assert_eq!(held, None);
        assert!(app.authorize(&headers("another"), Method::Inventory, None).is_err());
        assert_eq!(app.awaited().1, before);
        app.authorize(&headers("p"), Method::Inventory, None).unwrap();
        assert!(app.awaited().1 > before);
    }
}
