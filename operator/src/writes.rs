//! Every write to the API: counted, with our field manager, and always bound to the version or uid it is meant for.

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
    metrics::{Kind, Metrics, Verb},
};

/// Writes to the API.
#[derive(Clone)]
pub(crate) struct Writes {
    client: Client,
    metrics: Metrics,
}

impl Writes {
    pub(crate) fn new(client: Client, metrics: Metrics) -> Self {
        Self { client, metrics }
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
