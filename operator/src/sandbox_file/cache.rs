//! The files that the watch has shown, as far as executions and the end of their bytes need them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use crds::{FilePhase, SandboxFile};
use parking_lot::Mutex;

use crate::key::Key;

/// What matters of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileFacts {
    pub(crate) key: Key,
    pub(crate) uid: Arc<str>,
    pub(crate) phase: FilePhase,
    pub(crate) digest: Option<String>,
    pub(crate) size_bytes: u64,
    /// When it ends by itself.
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) isolation_key: Option<String>,
    pub(crate) scope: Option<String>,
    /// Downloads are counted and none is left.
    pub(crate) used_up: bool,
    /// It was registered again since its status was written.
    pub(crate) registered_again: bool,
}

impl FileFacts {
    pub(crate) fn of(file: &SandboxFile) -> Self {
        let status = file.status.clone().unwrap_or_default();
        let current = status.observed_registration == file.spec.registration;
        Self {
            key: Key::of(&file.metadata),
            uid: file.metadata.uid.as_deref().unwrap_or_default().into(),
            phase: status.phase,
            digest: status.sha256,
            size_bytes: status.size_bytes.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            end: end(file),
            isolation_key: file.spec.isolation_key.clone(),
            scope: file.spec.scope.clone(),
            registered_again: !current,
            used_up: current && status.remaining_downloads == Some(0),
        }
    }

    /// Whether its bytes may still be used.
    pub(crate) fn live(&self, now: DateTime<Utc>) -> bool {
        self.phase == FilePhase::Ready && !self.used_up && self.end.is_none_or(|end| now < end)
    }
}

/// When a file ends by itself: at its expiry, or when it was kept long enough without one.
pub(crate) fn end(file: &SandboxFile) -> Option<DateTime<Utc>> {
    let registered = file.status.as_ref().and_then(|status| status.registration_time);
    let retained = || {
        let created = file.metadata.creation_timestamp.as_ref();
        let since = registered
            .or_else(|| created.and_then(|time| DateTime::from_timestamp(time.0.as_second(), 0)))?;
        since.checked_add_signed(TimeDelta::try_seconds(file.spec.retention_seconds)?)
    };
    file.spec.expires_at.or_else(retained)
}

/// All files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<Key, FileFacts>,
    digests: HashMap<String, HashSet<Key>>,
    /// Executions that wait for a file to be stored.
    waiting: HashSet<Key>,
}

impl Files {
    /// Takes in what a watch has shown. The answer is whose bytes it had before and has no more.
    pub(crate) fn apply(&self, facts: FileFacts) -> Option<String> {
        let mut inner = self.inner.lock();
        let old = inner.forget(&facts.key);
        if let Some(digest) = &facts.digest {
            inner.digests.entry(digest.clone()).or_default().insert(facts.key.clone());
        }
        let released = old.and_then(|old| old.digest).filter(|digest| Some(digest) != facts.digest.as_ref());
        inner.files.insert(facts.key.clone(), facts);
        released
    }

    /// Forgets a file. The answer is whose bytes it had.
    pub(crate) fn remove(&self, key: &Key) -> Option<String> {
        self.inner.lock().forget(key)?.digest
    }

    pub(crate) fn get(&self, key: &Key) -> Option<FileFacts> {
        self.inner.lock().files.get(key).cloned()
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.inner.lock().files.keys().cloned().collect()
    }

    /// The files of a namespace with these bytes.
    pub(crate) fn with_digest(&self, namespace: &str, digest: &str) -> Vec<FileFacts> {
        let inner = self.inner.lock();
        let keys = inner.digests.get(digest).into_iter().flatten().filter(|key| &*key.namespace == namespace);
        keys.filter_map(|key| inner.files.get(key)).cloned().collect()
    }

    /// Whether any file keeps these bytes: all but those that have ended.
    pub(crate) fn keeps(&self, digest: &str) -> bool {
        let inner = self.inner.lock();
        let keys = inner.digests.get(digest).into_iter().flatten();
        keys.filter_map(|key| inner.files.get(key)).any(|file| file.phase != FilePhase::Expired)
    }

    /// An execution is to be woken when a file has been stored.
    pub(crate) fn wait(&self, execution: &Key) {
        self.inner.lock().waiting.insert(execution.clone());
    }

    /// Those that wait; they ask again if they must.
    pub(crate) fn take_waiting(&self) -> HashSet<Key> {
        std::mem::take(&mut self.inner.lock().waiting)
    }
}

impl Inner {
    fn forget(&mut self, key: &Key) -> Option<FileFacts> {
        let old = self.files.remove(key)?;
        if let Some(digest) = &old.digest
            && let Some(keys) = self.digests.get_mut(digest)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.digests.remove(digest);
            }
        }
        Some(old)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end_of(spec: &serde_json::Value, status: &serde_json::Value) -> Option<i64> {
        let mut all = json!({"fileName": "f", "source": {"inline": ""}});
        for (name, value) in spec.as_object().unwrap() {
            all[name] = value.clone();
        }
        let file = json!({
            "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxFile",
            "metadata": {"name": "f", "creationTimestamp": "1970-01-01T00:01:40Z"}, "spec": all, "status": status,
        });
        end(&serde_json::from_value(file).unwrap()).map(|end| end.timestamp())
    }

    #[test]
    fn a_file_ends_at_its_expiry_or_when_it_was_kept_long_enough() {
        let (none, again) = (json!({}), json!({"registrationTime": "1970-01-01T00:03:20Z"}));
        assert_eq!(end_of(&json!({}), &none), Some(100 + 604_800), "a week is the default");
        assert_eq!(end_of(&json!({"retentionSeconds": 60}), &none), Some(160));
        assert_eq!(
            end_of(&json!({"retentionSeconds": 60}), &again),
            Some(260),
            "counted from the registration"
        );
        let expiry = json!({"retentionSeconds": 60, "expiresAt": "1970-01-01T00:00:07Z"});
        assert_eq!(end_of(&expiry, &again), Some(7));
    }
}
