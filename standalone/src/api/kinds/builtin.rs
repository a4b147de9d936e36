//! The built-in kinds as one table.

use super::{Class, Kind};
use crate::api::table::builtin as columns;

/// A row: group, version, kind, plural, short names, namespaced, status subresource, selectable, class.
struct Row(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    Scope,
    &'static [&'static str],
    Class,
);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespaced,
}
use Scope::{Cluster, Namespaced};

const POD_FIELDS: [&str; 7] = [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];
const EVENT_FIELDS: [&str; 11] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const EVENT_VIEW_FIELDS: [&str; 9] = [
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "reason",
    "reportingController",
    "type",
];

fn rows() -> [Row; 9] {
    [
        Row("", "v1", "Namespace", "namespaces", &["ns"], Cluster, &["status.phase"], Class::Namespace),
        Row("", "v1", "Pod", "pods", &["po"], Namespaced, &POD_FIELDS, Class::Pod),
        Row(
            "",
            "v1",
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            &["pvc"],
            Namespaced,
            &[],
            Class::Claim,
        ),
        Row("", "v1", "Event", "events", &["ev"], Namespaced, &EVENT_FIELDS, Class::Event),
        Row("", "v1", "Secret", "secrets", &[], Namespaced, &["type"], Class::Secret),
        Row("", "v1", "ConfigMap", "configmaps", &["cm"], Namespaced, &[], Class::ConfigMap),
        Row(
            "events.k8s.io",
            "v1",
            "Event",
            "events",
            &["ev"],
            Namespaced,
            &EVENT_VIEW_FIELDS,
            Class::EventView,
        ),
        Row("coordination.k8s.io", "v1", "Lease", "leases", &[], Namespaced, &[], Class::Lease),
        Row(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            &["crd", "crds"],
            Cluster,
            &[],
            Class::Definition,
        ),
    ]
}

/// All built-in kinds.
pub(crate) fn all() -> Vec<Kind> {
    rows().into_iter().map(kind).collect()
}

fn kind(row: Row) -> Kind {
    let Row(group, version, kind, plural, short, scope, selectable, class) = row;
    let has_status = matches!(class, Class::Pod | Class::Claim | Class::Namespace | Class::Definition);
    let read_only = matches!(class, Class::Definition);
    let stored_group = if matches!(class, Class::EventView) { "" } else { group };
    Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: short.iter().map(|&one| one.to_owned()).collect(),
        categories: if plural == "pods" { vec!["all".to_owned()] } else { vec![] },
        namespaced: scope == Namespaced,
        read_only,
        has_status: has_status && !read_only,
        selectable: selectable.iter().map(|&one| one.to_owned()).collect(),
        columns: columns::of(&class),
        resource: format!("{stored_group}/{plural}").into(),
        class,
    }
}
