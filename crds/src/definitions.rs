//! The four `CustomResourceDefinition`s as they are installed: what the derives give, with status defaults and
//! a schema hash.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{CodeExecution, SandboxFile, SandboxPool, SandboxWorkspace, labels};

/// When nothing has happened yet: the default conditions need a time that never changes.
const NEVER: &str = "1970-01-01T00:00:00Z";

/// All definitions, in the order they are installed.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    [
        (CodeExecution::crd(), Some(waiting(&["Finished", "Complete", "Failed"]))),
        (SandboxFile::crd(), Some(waiting(&["Ready"]))),
        (SandboxPool::crd(), None),
        (SandboxWorkspace::crd(), Some(waiting(&["Ready"]))),
    ]
    .into_iter()
    .map(|(crd, status)| finish(crd, status.as_ref()))
    .collect()
}

/// A definition as YAML, as it is committed and put into the chart.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    Ok(serde_yaml::to_string(crd)?.lines().map(|line| quoted(line) + "\n").collect())
}

/// kubectl and Helm read YAML 1.1, in which a bare `Off` is a boolean; the writer knows 1.2, in which it is text.
fn quoted(line: &str) -> String {
    const BOOLEANS: [&str; 8] = ["y", "n", "Y", "N", "on", "off", "yes", "no"];
    let cut = line.rfind(": ").or_else(|| line.rfind("- ")).map_or(0, |at| at + 2);
    match line.split_at_checked(cut) {
        Some((before, value)) if BOOLEANS.iter().any(|word| word.eq_ignore_ascii_case(value)) => {
            format!("{before}'{value}'")
        }
        _ => line.to_owned(),
    }
}

/// The first status: the API shows it without a write.
fn waiting(conditions: &[&str]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|type_| {
            json!({
                "type": type_, "status": "False", "reason": "Pending",
                "message": "waiting for the operator", "lastTransitionTime": NEVER,
            })
        })
        .collect();
    json!({ "phase": "Pending", "conditions": conditions })
}

fn finish(mut crd: CustomResourceDefinition, status: Option<&Value>) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let root = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut());
        let property = root.and_then(|r| r.properties.as_mut()).and_then(|p| p.get_mut("status"));
        if let (Some(property), Some(default)) = (property, status) {
            set_default(property, default);
        }
    }
    let hash = schema_hash(&crd);
    crd.metadata.annotations.get_or_insert_default().insert(labels::SCHEMA_HASH.to_owned(), hash);
    crd
}

fn set_default(property: &mut JSONSchemaProps, default: &Value) {
    property.default = Some(JSON(default.clone()));
}

/// A hash of what the API server is told, for finding outdated definitions in a cluster.
fn schema_hash(crd: &CustomResourceDefinition) -> String {
    let text = serde_json::to_string(&crd.spec).unwrap_or_default();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_namespaced_and_has_a_status_subresource() {
        for crd in all() {
            assert_eq!(crd.spec.scope, "Namespaced");
            let version = crd.spec.versions.first().unwrap();
            assert!(version.subresources.as_ref().unwrap().status.is_some(), "{:?}", crd.metadata.name);
        }
    }

    #[test]
    fn what_yaml_1_1_takes_for_a_boolean_is_quoted() {
        for (line, expected) in [
            ("  default: Off", "  default: 'Off'"),
            ("  - No", "  - 'No'"),
            ("  default: false", "  default: false"),
            ("  y: 1", "  y: 1"),
        ] {
            assert_eq!(quoted(line), expected);
        }
        for crd in all() {
            let text = yaml(&crd).unwrap();
            let read: CustomResourceDefinition = serde_yaml::from_str(&text).unwrap();
            assert_eq!(read, crd, "quoting changes nothing else");
        }
    }

    #[test]
    fn a_changed_schema_changes_the_hash() {
        let crd = CodeExecution::crd();
        let mut other = crd.clone();
        other.spec.names.short_names = None;
        assert_ne!(schema_hash(&crd), schema_hash(&other));
    }
}
