//! What an installed definition lacks of the one that this operator was built with: pure.
//!
//! Only names count: what an installed one has beyond ours is of a newer version or of somebody's own, and does no harm.

use crds::labels;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// How many names one sentence has.
const SHOWN: usize = 3;

/// What `installed` lacks, in words; `None` when nothing.
pub(super) fn lacks(
    wanted: &CustomResourceDefinition,
    installed: Option<&CustomResourceDefinition>,
) -> Option<String> {
    let kind = &wanted.spec.names.kind;
    let Some(installed) = installed else { return Some(format!("{kind} is not installed")) };
    if hash(wanted).is_some() && hash(wanted) == hash(installed) {
        return None;
    }
    let Some(theirs) = schema(installed) else {
        return Some(format!("{kind} is not served as {}", crds::VERSION));
    };
    let mut missing = Vec::new();
    collect(&schema(wanted).unwrap_or_default(), &theirs, "", &mut missing);
    let more = missing.len().saturating_sub(SHOWN);
    missing.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!missing.is_empty()).then(|| format!("{kind} has no {}{more}", missing.join(", ")))
}

fn hash(definition: &CustomResourceDefinition) -> Option<&String> {
    definition.metadata.annotations.as_ref()?.get(labels::SCHEMA_HASH)
}

/// The schema of our version, when it is served.
fn schema(definition: &CustomResourceDefinition) -> Option<Value> {
    let served =
        definition.spec.versions.iter().find(|version| version.name == crds::VERSION && version.served)?;
    let schema = served.schema.as_ref()?.open_api_v3_schema.as_ref()?;
    serde_json::to_value(schema).ok()
}

/// Adds the fields and enum values of `wanted` that `installed` does not have.
fn collect(wanted: &Value, installed: &Value, path: &str, missing: &mut Vec<String>) {
    let of = |schema: &Value, keyword: &str| schema.get(keyword).cloned().unwrap_or_default();
    if of(installed, "x-kubernetes-preserve-unknown-fields") == true {
        return;
    }
    for (name, ours) in of(wanted, "properties").as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match installed.get("properties").and_then(|theirs| theirs.get(name)) {
            Some(theirs) => collect(ours, theirs, &path, missing),
            None => missing.push(path),
        }
    }
    for (keyword, step) in [("items", "[]"), ("additionalProperties", ".*")] {
        let (ours, theirs) = (of(wanted, keyword), of(installed, keyword));
        if ours.is_object() && theirs.is_object() {
            collect(&ours, &theirs, &format!("{path}{step}"), missing);
        }
    }
    if let (Some(ours), Some(theirs)) = (of(wanted, "enum").as_array(), of(installed, "enum").as_array()) {
        let lacking = ours.iter().filter(|value| !theirs.contains(value));
        missing.extend(lacking.map(|value| format!("{value} in {path}")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The definition of executions, changed as a cluster's may be, without the hash that would tell.
    fn changed(change: impl FnOnce(&mut Value)) -> Option<String> {
        let wanted = crds::definitions::all().remove(0);
        let mut installed = json!(wanted);
        installed["metadata"]["annotations"] = json!({});
        change(&mut installed);
        lacks(&wanted, Some(&serde_json::from_value(installed).unwrap()))
    }

    fn schema_of(crd: &mut Value) -> &mut Value {
        &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    }

    fn drop_field(fields: &mut Value, name: &str) {
        fields.as_object_mut().unwrap().remove(name).unwrap();
    }

    #[test]
    fn what_is_installed_is_fine_as_it_is_or_with_more_in_it() {
        assert_eq!(changed(|_| {}), None);
        let more = json!({ "type": "string" });
        assert_eq!(changed(|crd| schema_of(crd)["spec"]["properties"]["later"] = more), None);
        assert_eq!(changed(|crd| schema_of(crd)["spec"]["properties"]["code"]["maxLength"] = json!(1)), None);
    }

    #[test]
    fn a_missing_field_is_named_with_its_kind_and_path() {
        let lacks = changed(|crd| drop_field(&mut schema_of(crd)["spec"]["properties"], "stdin"));
        assert_eq!(lacks.unwrap(), "CodeExecution has no spec.stdin");
        let of_items = changed(|crd| {
            drop_field(&mut schema_of(crd)["spec"]["properties"]["env"]["items"]["properties"], "name");
        });
        assert_eq!(of_items.unwrap(), "CodeExecution has no spec.env[].name");
    }

    #[test]
    fn many_missing_fields_are_counted() {
        let lacks = changed(|crd| {
            for name in ["args", "code", "env", "files", "stdin"] {
                drop_field(&mut schema_of(crd)["spec"]["properties"], name);
            }
        });
        assert_eq!(lacks.unwrap(), "CodeExecution has no spec.args, spec.code, spec.env and 2 more");
    }

    #[test]
    fn a_value_that_a_write_would_be_refused_for_is_missing_too() {
        let lacks = changed(|crd| {
            let phases = &mut schema_of(crd)["status"]["properties"]["phase"]["enum"];
            phases.as_array_mut().unwrap().retain(|phase| phase != "Queued");
        });
        assert_eq!(lacks.unwrap(), "CodeExecution has no \"Queued\" in status.phase");
    }

    #[test]
    fn a_version_that_is_not_served_and_a_kind_that_is_not_there_are_outdated() {
        let unserved = changed(|crd| crd["spec"]["versions"][0]["served"] = json!(false));
        assert_eq!(unserved.unwrap(), "CodeExecution is not served as v1alpha1");
        let wanted = crds::definitions::all().remove(0);
        assert_eq!(lacks(&wanted, None).unwrap(), "CodeExecution is not installed");
    }

    #[test]
    fn a_definition_with_our_hash_is_not_looked_into() {
        let wanted = crds::definitions::all().remove(0);
        let mut installed = wanted.clone();
        installed.spec.versions.clear();
        assert_eq!(lacks(&wanted, Some(&installed)), None);
    }
}
