//! What the API's integration tests share: a test definition and an API in a folder of its own.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};
use standalone::api::{ApiServer, Identity};

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A kind with every feature that the tests touch.
pub(crate) fn widget_definition() -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.test.dev"},
        "spec": {
            "group": "test.dev", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "shortNames": ["wd"],
                "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                "selectableFields": [{"jsonPath": ".status.phase"}, {"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [
                    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                    {"name": "Ready", "type": "string",
                        "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
                    {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
                "schema": {"openAPIV3Schema": schema()}
            }]
        }
    }))
    .unwrap()
}

fn schema() -> Value {
    json!({
        "type": "object", "required": ["spec"],
        "description": "A widget, for tests.",
        "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
            "spec": {
                "type": "object", "required": ["code"],
                "description": "What the widget should be.",
                "x-kubernetes-validations": [
                    {"rule": "!has(self.low) || !has(self.high) || self.low <= self.high",
                        "message": "low must not be above high", "fieldPath": ".low"},
                    {"rule": "self.code == oldSelf.code", "message": "code is immutable"}],
                "properties": {
                    "code": {"type": "string", "maxLength": 1_400_000, "description": "The code to run."},
                    "color": {"type": "string", "enum": ["Red", "Green"], "default": "Red"},
                    "replicas": {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
                    "low": {"type": "integer"}, "high": {"type": "integer"},
                    "name": {"type": "string", "pattern": "^[a-z]+$"},
                    "when": {"type": "string", "format": "date-time"},
                    "port": {"x-kubernetes-int-or-string": true},
                    "env": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "required": ["name"], "properties": {
                            "name": {"type": "string"}, "value": {"type": "string", "default": ""}}}}
                }
            },
            "status": {
                "type": "object",
                "default": {"phase": "Pending"},
                "properties": {
                    "phase": {"type": "string", "default": "Pending"},
                    "replicas": {"type": "integer"}, "selector": {"type": "string"},
                    "note": {"type": "string"},
                    "conditions": {"type": "array", "items": {"type": "object",
                        "properties": {"type": {"type": "string"}, "status": {"type": "string"},
                            "reason": {"type": "string"}, "message": {"type": "string"},
                            "lastTransitionTime": {"type": "string", "format": "date-time"}}}}
                }
            }
        }
    })
}

/// An API in a temporary folder that goes when this goes.
pub(crate) struct TestApi {
    pub(crate) api: ApiServer,
    pub(crate) client: Client,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) async fn open() -> TestApi {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::open(folder.path(), vec![widget_definition()]).await.unwrap();
    let client = api.client(Identity::new("test"));
    TestApi { api, client, folder }
}

pub(crate) fn widget_resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("test.dev", "v1", "Widget"), "widgets")
}

pub(crate) fn widgets(client: &Client) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), "default", &widget_resource())
}

pub(crate) fn widget(name: &str) -> DynamicObject {
    DynamicObject::new(name, &widget_resource()).data(json!({"spec": {"code": "x"}}))
}
