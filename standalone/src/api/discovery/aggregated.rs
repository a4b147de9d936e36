//! Discovery in one document, as kubectl prefers it.

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use crate::api::{core::Core, kinds::Kind, respond};

const MEDIA: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Whether the client prefers this form.
pub(super) fn wanted(accept: &str) -> bool {
    accept.split(',').next().is_some_and(|first| {
        let parts: Vec<&str> = first.split(';').map(str::trim).collect();
        parts.contains(&"as=APIGroupDiscoveryList") && parts.contains(&"v=v2")
    })
}

/// The core group, or all the others.
pub(super) fn response(core: &Core, named_groups: bool) -> Response<Body> {
    let groups: Vec<Value> = core
        .registry
        .group_versions()
        .iter()
        .filter(|(group, _)| group.is_empty() != named_groups)
        .map(|(group, version)| entry(core, group, version))
        .collect();
    let document = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": groups});
    respond::response(200, MEDIA, Body::from(document.to_string()), &[])
}

fn entry(core: &Core, group: &str, version: &str) -> Value {
    let served = core.registry.all().filter(|kind| kind.group == group && kind.version == version);
    let mut resources: Vec<Value> = served.map(|kind| resource(kind)).collect();
    match group {
        "authentication.k8s.io" => resources.push(review(group, "tokenreviews", "TokenReview")),
        "authorization.k8s.io" => {
            resources.push(review(group, "selfsubjectaccessreviews", "SelfSubjectAccessReview"));
            resources.push(review(group, "subjectaccessreviews", "SubjectAccessReview"));
        }
        _ => {}
    }
    let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
    json!({"metadata": metadata,
        "versions": [{"version": version, "resources": resources, "freshness": "Current"}]})
}

fn review(group: &str, name: &str, kind: &str) -> Value {
    json!({"resource": name, "singularResource": kind.to_lowercase(), "scope": "Cluster", "verbs": ["create"],
        "responseKind": {"group": group, "version": "v1", "kind": kind}})
}

fn resource(kind: &Kind) -> Value {
    let response_kind = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let mut subresources = Vec::new();
    if kind.has_status {
        subresources.push(json!({"subresource": "status", "responseKind": response_kind,
            "verbs": ["get", "patch", "update"]}));
    }
    if kind.scale().is_some() {
        subresources.push(json!({"subresource": "scale", "verbs": ["get", "patch", "update"],
            "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}}));
    }
    let mut resource = json!({"resource": kind.plural, "responseKind": response_kind,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular, "verbs": kind.verbs()});
    if let Some(map) = resource.as_object_mut() {
        for (name, list) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
            if !list.is_empty() {
                map.insert(name.to_owned(), json!(list));
            }
        }
        if !subresources.is_empty() {
            map.insert("subresources".to_owned(), json!(subresources));
        }
    }
    resource
}
