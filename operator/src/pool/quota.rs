//! Whether a quota of a namespace leaves room for one more pod: pure.
//!
//! The API refuses a pod for its quota with the same code as for anything else that is forbidden, and only its text
//! tells them apart. What the quotas themselves say is a fact.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Pod, ResourceQuota},
    apimachinery::pkg::api::resource::Quantity,
};

/// Whether one of the quotas has no room for this pod. Scopes are not looked at: the pod was refused, and a quota that
/// is full is why.
pub(crate) fn is_used_up(quotas: &[ResourceQuota], pod: &Pod) -> bool {
    let full = |quota: &ResourceQuota| {
        let status = quota.status.as_ref();
        let hard = status.and_then(|status| status.hard.as_ref()).into_iter().flatten();
        let used = status.and_then(|status| status.used.as_ref());
        hard.into_iter().any(|(resource, hard)| {
            let used = used.and_then(|used| used.get(resource)).and_then(amount).unwrap_or(0.0);
            let (Some(wanted), Some(hard)) = (wanted(pod, resource), amount(hard)) else { return false };
            wanted > 0.0 && used + wanted > hard
        })
    };
    quotas.iter().any(full)
}

/// How much of a quota's resource a pod takes; `None` for what pods do not take.
fn wanted(pod: &Pod, resource: &str) -> Option<f64> {
    type Amounts = BTreeMap<String, Quantity>;
    let requests = |c: &Container, name: &str| -> Option<f64> {
        let resources = c.resources.as_ref()?;
        let of = |amounts: &Option<Amounts>| amounts.as_ref()?.get(name).and_then(amount);
        of(&resources.requests).or_else(|| of(&resources.limits))
    };
    let limits =
        |c: &Container, name: &str| c.resources.as_ref()?.limits.as_ref()?.get(name).and_then(amount);
    let containers = || pod.spec.iter().flat_map(|spec| &spec.containers);
    match resource {
        "pods" | "count/pods" => Some(1.0),
        "cpu" | "memory" => Some(containers().filter_map(|c| requests(c, resource)).sum()),
        _ => match resource.split_once('.')? {
            ("requests", name) => Some(containers().filter_map(|c| requests(c, name)).sum()),
            ("limits", name) => Some(containers().filter_map(|c| limits(c, name)).sum()),
            _ => None,
        },
    }
}

/// What a quantity stands for.
fn amount(quantity: &Quantity) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 13] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let text = quantity.0.as_str();
    let suffix = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = suffix.unwrap_or((text, 1.0));
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn used_up(hard: &Value, used: &Value) -> bool {
        let quota = json!({ "metadata": { "name": "q" }, "status": { "hard": hard, "used": used } });
        let pod = json!({ "metadata": {}, "spec": { "containers": [{
            "name": "c",
            "resources": { "requests": { "cpu": "250m" }, "limits": { "cpu": "1", "memory": "512Mi" } },
        }]}});
        is_used_up(&[serde_json::from_value(quota).unwrap()], &serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_quota_is_used_up_when_one_more_pod_does_not_fit() {
        for (resource, hard, used, full) in [
            ("pods", "3", "3", true),
            ("pods", "3", "2", false),
            ("count/pods", "0", "0", true),
            ("requests.cpu", "1", "800m", true),
            ("requests.cpu", "1", "750m", false),
            ("cpu", "1", "800m", true),
            ("limits.cpu", "2", "1", false),
            ("limits.cpu", "2", "1500m", true),
            ("requests.memory", "1Gi", "600Mi", true),
            ("limits.memory", "1Gi", "512Mi", false),
            ("requests.storage", "0", "0", false),
            ("configmaps", "1", "1", false),
        ] {
            assert_eq!(
                used_up(&json!({ resource: hard }), &json!({ resource: used })),
                full,
                "{resource} {used}"
            );
        }
    }

    #[test]
    fn a_quota_that_nobody_has_counted_yet_says_nothing() {
        assert!(!used_up(&json!({}), &json!({})));
        assert!(!used_up(&json!({ "pods": "3" }), &json!({})));
    }
}
