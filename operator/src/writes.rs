//! Every write to the API: counted, with our field manager, and always bound to the version or uid it is meant for.
//!
//! None is sent when the lease has ended by our clock: a successor may have started programs in pods that look
//! useless from here. The error is `NotLeader`, in the form of any request that did not get through.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::PartialObjectMeta,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    key::Key,
    leader::term::Term,
    metrics::{Kind, Metrics, Verb},
};

/// Writes to the API.
#[derive(Clone)]
pub(crate) struct Writes {
    client: Client,
    term: Term,
    metrics: Metrics,
}

impl Writes {
    pub(crate) fn new(client: Client, term: Term, metrics: Metrics) -> Self {
        Self { client, term, metrics }
    }

    /// Merges `status` into the status of the object as it was at `version`; the answer is the new version.
    pub(crate) async fn patch_status<K>(
        &self,
        kind: Kind,
        key: &Key,
        version: &str,
        status: &impl Serialize,
    ) -> Result<String, kube::Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug,
    {
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.client.clone(), &key.namespace);
        let status: Value = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": status });
        let params = PatchParams { field_manager: Some(manager()), ..PatchParams::default() };
        self.term.check()?;
        self.metrics.write(kind, Verb::PatchStatus);
        let written = api.patch_status(&key.name, &params, &Patch::Merge(&patch)).await;
        let written = written.inspect_err(|error| self.count_conflict(error))?;
        Ok(written.metadata.resource_version.unwrap_or_default())
    }

    pub(crate) async fn create<K>(&self, kind: Kind, namespace: &str, object: &K) -> Result<K, kube::Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(manager()), ..PostParams::default() };
        self.term.check()?;
        self.metrics.write(kind, Verb::Create);
        api.create(&params, object).await
    }

    /// Deletes the object of that uid. One that is gone, or has another uid by now, is no error.
    pub(crate) async fn delete<K>(
        &self,
        kind: Kind,
        key: &Key,
        uid: &str,
        grace: Option<u32>,
    ) -> Result<(), kube::Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.client.clone(), &key.namespace);
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            grace_period_seconds: grace,
            ..DeleteParams::default()
        };
        self.term.check()?;
        self.metrics.write(kind, Verb::Delete);
        match api.delete(&key.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn count_conflict(&self, error: &kube::Error) {
        if matches!(error, kube::Error::Api(status) if status.code == 409) {
            self.metrics.conflicts.inc();
        }
    }
}

fn manager() -> String {
    crds::names::FIELD_MANAGER.to_owned()
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicI64, AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use chrono::DateTime;
    use k8s_openapi::api::core::v1::Pod;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::{clock::Clock, leader::term::NotLeader};

    #[tokio::test]
    async fn nothing_is_written_after_the_end_of_the_lease() {
        let (sent, now) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicI64::new(1000)));
        let (counter, time) = (Arc::clone(&sent), Arc::clone(&now));
        let api = tower::service_fn(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = axum::http::Response::builder().status(500).body(kube::client::Body::empty());
            std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
        });
        let clock = Clock::new(move || DateTime::from_timestamp_millis(time.load(Ordering::SeqCst)).unwrap());
        let key = protocol::SigningKey::from_seed("k", &[1; 32]).unwrap();
        let term = Term::new(key, Duration::from_secs(8), clock);
        let metrics = Metrics::register(&mut Registry::default());
        let writes = Writes::new(Client::new(api, "ns"), term.clone(), metrics);
        let key = Key::new("ns", "p");
        for (ends, at, leads) in [(2000, 1999, true), (2000, 2000, false), (i64::MIN, 0, false)] {
            term.hold(1, ends);
            now.store(at, Ordering::SeqCst);
            sent.store(0, Ordering::SeqCst);
            let errors = [
                writes.delete::<Pod>(Kind::Pod, &key, "u", None).await.unwrap_err(),
                writes.create(Kind::Pod, "ns", &Pod::default()).await.unwrap_err(),
                writes.patch_status::<Pod>(Kind::Pod, &key, "1", &json!({})).await.unwrap_err(),
            ];
            assert_eq!(sent.load(Ordering::SeqCst), if leads { 3 } else { 0 }, "{ends} {at}");
            assert!(errors.iter().all(|error| NotLeader::is(error) != leads), "{errors:?}");
        }
    }
}
