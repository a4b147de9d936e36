//! Discovery one document at a time: groups, then the resources of each.

use serde_json::{Value, json};

use crate::api::{core::Core, kinds::Kind};

/// `/api`.
pub(super) fn versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`.
pub(super) fn groups(core: &Core) -> Value {
    let groups: Vec<Value> = core
        .registry
        .group_versions()
        .iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, version)| entry(group, version))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn entry(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

/// `/apis/GROUP`.
pub(super) fn group(core: &Core, wanted: &str) -> Option<Value> {
    let all = core.registry.group_versions();
    let (group, version) = all.iter().find(|(group, _)| group == wanted && !group.is_empty())?;
    let mut document = entry(group, version);
    let map = document.as_object_mut()?;
    map.insert("kind".to_owned(), json!("APIGroup"));
    map.insert("apiVersion".to_owned(), json!("v1"));
    Some(document)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(super) fn resources(core: &Core, group: &str, version: &str) -> Option<Value> {
    core.registry.group_versions().iter().find(|(g, v)| g == group && v == version)?;
    let served = core.registry.all().filter(|kind| kind.group == group && kind.version == version);
    let mut resources: Vec<Value> = served.flat_map(|kind| of_kind(kind)).collect();
    match group {
        "authentication.k8s.io" => resources.push(review("tokenreviews", "TokenReview")),
        "authorization.k8s.io" => {
            resources.push(review("selfsubjectaccessreviews", "SelfSubjectAccessReview"));
            resources.push(review("subjectaccessreviews", "SubjectAccessReview"));
        }
        _ => {}
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": resources}))
}

fn review(name: &str, kind: &str) -> Value {
    json!({"name": name, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind,
        "verbs": ["create"]})
}

fn of_kind(kind: &Kind) -> Vec<Value> {
    let mut main = json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs()});
    if let Some(map) = main.as_object_mut() {
        if !kind.read_only {
            map.insert("storageVersionHash".to_owned(), json!(kind.storage_version_hash()));
        }
        if !kind.short_names.is_empty() {
            map.insert("shortNames".to_owned(), json!(kind.short_names));
        }
        if !kind.categories.is_empty() {
            map.insert("categories".to_owned(), json!(kind.categories));
        }
    }
    let mut all = vec![main];
    if kind.has_status {
        all.push(json!({"name": format!("{}/status", kind.plural), "singularName": "",
            "namespaced": kind.namespaced, "kind": kind.kind, "verbs": ["get", "patch", "update"]}));
    }
    if kind.scale().is_some() {
        all.push(json!({"name": format!("{}/scale", kind.plural), "singularName": "",
            "namespaced": kind.namespaced, "group": "autoscaling", "version": "v1", "kind": "Scale",
            "verbs": ["get", "patch", "update"]}));
    }
    all
}
