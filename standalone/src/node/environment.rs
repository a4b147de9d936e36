//! The environment of a pod's container: values, `fieldRef`s and `$(NAME)` references. Pure.

use k8s_openapi::api::core::v1::{EnvVar, Pod};

/// The container's environment in the order of the spec, for a pod that has the address `pod_ip`.
pub(super) fn of(pod: &Pod, pod_ip: &str) -> Vec<(String, String)> {
    let container = pod.spec.as_ref().and_then(|s| s.containers.first());
    let variables = container.and_then(|c| c.env.as_deref()).unwrap_or_default();
    let mut resolved: Vec<(String, String)> = Vec::with_capacity(variables.len());
    for variable in variables {
        let value = value_of(variable, pod, pod_ip, &resolved);
        resolved.push((variable.name.clone(), value));
    }
    resolved
}

fn value_of(variable: &EnvVar, pod: &Pod, pod_ip: &str, earlier: &[(String, String)]) -> String {
    let path = variable.value_from.as_ref().and_then(|v| v.field_ref.as_ref()).map(|f| f.field_path.as_str());
    match path {
        Some(path) => field(path, pod, pod_ip),
        None => expand(variable.value.as_deref().unwrap_or_default(), earlier),
    }
}

fn field(path: &str, pod: &Pod, pod_ip: &str) -> String {
    let meta = &pod.metadata;
    match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "spec.nodeName" => super::NODE_NAME.to_owned(),
        "status.podIP" | "status.hostIP" => pod_ip.to_owned(),
        _ => String::new(),
    }
}

/// Replaces `$(NAME)` by what an earlier variable has; `$$(NAME)` stands for `$(NAME)`; an unknown name stays.
fn expand(text: &str, earlier: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        if let Some(escaped) = from.strip_prefix("$$") {
            out.push('$');
            rest = escaped;
            continue;
        }
        let reference = from.strip_prefix("$(").and_then(|tail| tail.split_once(')'));
        let known = reference.and_then(|(name, tail)| {
            earlier.iter().rev().find(|(key, _)| key == name).map(|(_, value)| (value, tail))
        });
        if let Some((value, tail)) = known {
            out.push_str(value);
            rest = tail;
        } else {
            out.push('$');
            rest = from.strip_prefix('$').unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_earlier_variables_are_replaced() {
        let earlier = [("IP".to_owned(), "127.0.0.9".to_owned())];
        for (text, expected) in [
            ("$(IP):8700", "127.0.0.9:8700"),
            ("$$(IP)", "$(IP)"),
            ("$(NONE)", "$(NONE)"),
            ("a$b$", "a$b$"),
            ("$(IP", "$(IP"),
            ("", ""),
        ] {
            assert_eq!(expand(text, &earlier), expected, "{text}");
        }
    }

    #[test]
    fn field_references_come_from_the_pod() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [{"name": "c", "env": [
                {"name": "UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "LISTEN", "value": "$(IP):1"},
            ]}]},
        }))
        .unwrap();
        let pairs = [("UID", "u"), ("IP", "127.1.1.1"), ("LISTEN", "127.1.1.1:1")];
        assert_eq!(of(&pod, "127.1.1.1"), pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
}
