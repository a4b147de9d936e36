//! What a path points at: a resource, a namespace, a name, a subresource.

use std::sync::Arc;

use super::{
    kinds::{Kind, Registry},
    status_error::StatusError,
};

/// The parsed path of a resource request.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) kind: Arc<Kind>,
    /// `None` on a namespaced kind means all namespaces.
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Target {
    /// Understands `/api/v1/...` and `/apis/GROUP/VERSION/...`.
    pub(crate) fn parse(registry: &Registry, path: &str) -> Option<Self> {
        let steps: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match steps.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // `namespaces/x` and its own subresources are the Namespace itself.
            ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(*name), None),
            [plural, name, subresource] => (plural, Some(*name), Some(*subresource)),
            _ => return None,
        };
        let kind = Arc::clone(registry.find(group, version, plural)?);
        let fits = if kind.namespaced { namespace.is_some() || name.is_none() } else { namespace.is_none() };
        fits.then(|| Self {
            kind,
            namespace,
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
        })
    }
}

/// What is said of a path that leads nowhere: a built-in group says it as a Status, anything else in plain text.
pub(crate) fn missing(registry: &Registry, path: &str) -> StatusError {
    let steps: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version) = match steps.as_slice() {
        ["api", version, ..] => ("", *version),
        ["apis", group, version, ..] => (*group, *version),
        _ => return StatusError::no_such_path(),
    };
    let built_in =
        |kind: &Arc<Kind>| kind.custom().is_none() && kind.group == group && kind.version == version;
    if registry.all().any(built_in) { StatusError::no_such_resource() } else { StatusError::no_such_path() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plural, namespace, name, subresource.
    type Parts = (String, Option<String>, Option<String>, Option<String>);

    fn parse(path: &str) -> Option<Parts> {
        Target::parse(&Registry::new(vec![]), path)
            .map(|target| (target.kind.plural.clone(), target.namespace, target.name, target.subresource))
    }

    #[test]
    fn paths_name_their_objects() {
        let own = |text: &str| Some(text.to_owned());
        assert_eq!(parse("/api/v1/pods"), Some(("pods".into(), None, None, None)));
        assert_eq!(
            parse("/api/v1/namespaces/n/pods/p/status"),
            Some(("pods".into(), own("n"), own("p"), own("status")))
        );
        assert_eq!(parse("/api/v1/namespaces/n"), Some(("namespaces".into(), None, own("n"), None)));
        assert_eq!(
            parse("/apis/coordination.k8s.io/v1/namespaces/n/leases"),
            Some(("leases".into(), own("n"), None, None))
        );
        for wrong in
            ["/api/v1/pods/p", "/api/v1/nothing", "/api", "/apis/g/v1/x", "/api/v1/namespaces/n/namespaces/m"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
