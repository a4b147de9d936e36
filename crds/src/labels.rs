//! Label and annotation keys, and the label sets made of them. A selector is always a subset of its label set.
//!
//! Labels find objects; they never prove anything, because users can write them. Trust derives from uids.

use std::collections::BTreeMap;

use crate::names::BlobDigest;

/// The pool a pod belongs to.
pub const POOL: &str = "carrel.dev/pool";
/// Which replica of the shim made the object; each replica watches only its own.
pub const REPLICA: &str = "carrel.dev/replica";
/// The first 63 hex digits of a file's content hash.
pub const DIGEST: &str = "carrel.dev/sha256";
/// A hash of the isolation key, because keys may hold what labels may not.
pub const KEY_HASH: &str = "carrel.dev/key-hash";
/// The uid of the execution that produced a file.
pub const EXECUTION_UID: &str = "carrel.dev/execution-uid";
/// The standard label that names the managing program.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "carrel";

/// Annotation: the request id that finds the log lines of one request in every component.
pub const REQUEST_ID: &str = "carrel.dev/request-id";
/// Annotation: the W3C trace context of the request.
pub const TRACE_PARENT: &str = "carrel.dev/traceparent";
/// Annotation on the leader's Lease: the epoch that fences executors against earlier leaders.
pub const EPOCH: &str = "carrel.dev/epoch";
/// Annotation on a pod: a hash of the template it was made from.
pub const TEMPLATE_HASH: &str = "carrel.dev/template-hash";
/// Annotation on a definition: a hash of its schema, compared by the operator at start.
pub const SCHEMA_HASH: &str = "carrel.dev/schema-hash";

/// The labels of a pool's pods.
#[must_use]
pub fn pool_pod(pool: &str) -> BTreeMap<String, String> {
    [(POOL, pool), (MANAGED_BY, MANAGER)].into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// The selector that finds a pool's pods, as the API takes it.
#[must_use]
pub fn pool_selector(pool: &str) -> String {
    format!("{POOL}={pool}")
}

/// The value of [`DIGEST`] for a content hash: a label takes 63 characters, a hash has 64.
#[must_use]
pub fn digest_value(digest: &BlobDigest) -> String {
    digest.as_str().chars().take(63).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selector_is_a_subset_of_the_labels() {
        let labels = pool_pod("default");
        let (key, value) =
            pool_selector("default").split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
        assert_eq!(labels.get(&key), Some(&value));
    }

    #[test]
    fn a_digest_label_fits_a_label_value() {
        let digest: BlobDigest = "a".repeat(64).parse().unwrap();
        assert_eq!(digest_value(&digest).len(), 63);
    }
}
