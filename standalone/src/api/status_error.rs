//! Every refusal of the API as a `metav1.Status`, with the API server's own words.
//! Not here: how a field error is worded (`field_error`), and how a status becomes a response (`respond`).

use serde_json::{Map, Value, json};

use super::{field_error::FieldError, kinds::Kind};

/// The result of anything a client asked for.
pub(crate) type Result<T, E = StatusError> = std::result::Result<T, E>;

/// A refusal: HTTP code, machine-readable reason and the text a person sees.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StatusError {
    /// The HTTP status code.
    pub code: u16,
    /// The `reason` of the Status object; empty means unknown, as in the API server.
    pub reason: &'static str,
    /// The text a person sees.
    pub message: String,
    details: Option<Box<Value>>,
}

impl StatusError {
    /// A refusal without details.
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn with_details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.qualified_resource()))
            .with_details(details(&kind.group, &kind.plural, name))
    }

    pub(crate) fn namespace_not_found(name: &str) -> Self {
        Self::new(404, "NotFound", format!("namespaces \"{name}\" not found")).with_details(details(
            "",
            "namespaces",
            name,
        ))
    }

    /// For what a built-in group has not.
    pub(crate) fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with_details(json!({}))
    }

    /// For a path that nothing answers to. The API server says so in plain text.
    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "", "404 page not found\n")
    }

    /// Whether it is told in plain text and not as a Status.
    pub(crate) fn is_plain(&self) -> bool {
        self.code == 404 && self.reason.is_empty()
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.qualified_resource()))
            .with_details(details(&kind.group, &kind.plural, name))
    }

    pub(crate) fn conflict(kind: &Kind, name: &str) -> Self {
        Self::conflict_because(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(crate) fn conflict_because(kind: &Kind, name: &str, cause: &str) -> Self {
        Self::conflict_on(&kind.group, &kind.plural, name, cause)
    }

    pub(crate) fn conflict_on(group: &str, resource: &str, name: &str, cause: &str) -> Self {
        let qualified = qualified(group, resource);
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {qualified} \"{name}\": {cause}"),
        )
        .with_details(details(group, resource, name))
    }

    pub(crate) fn forbidden(kind: &Kind, name: &str, cause: &str) -> Self {
        let resource = kind.qualified_resource();
        Self::new(403, "Forbidden", format!("{resource} \"{name}\" is forbidden: {cause}"))
            .with_details(details(&kind.group, &kind.plural, name))
    }

    /// A namespace that is going away takes no new objects.
    pub(crate) fn terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut found = details(&kind.group, &kind.plural, name);
        if let Some(map) = found.as_object_mut() {
            let cause = json!({"reason": "NamespaceTerminating", "field": "metadata.namespace",
                "message": format!("namespace {namespace} is being terminated")});
            map.insert("causes".to_owned(), json!([cause]));
        }
        Self::forbidden(kind, name, &why).with_details(found)
    }

    /// 422 with one cause for each field error. `errors` must not be empty.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for error in errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let listed = match texts.as_slice() {
            [only] => only.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = qualified(group, kind);
        let mut found = details(group, kind, name);
        if let Some(map) = found.as_object_mut() {
            map.insert("causes".to_owned(), errors.iter().map(FieldError::cause).collect());
        }
        Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {listed}")).with_details(found)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .with_details(json!({}))
    }

    /// For a verb that a custom kind has not; a built-in one says less.
    pub(crate) fn method_not_supported(kind: &Kind, verb: &str) -> Self {
        if kind.custom().is_none() {
            return Self::method_not_allowed();
        }
        let resource = kind.qualified_resource();
        Self::new(
            405,
            "MethodNotAllowed",
            format!("{verb} is not supported on resources of kind \"{resource}\""),
        )
        .with_details(details(&kind.group, &kind.plural, ""))
    }

    /// A patch that fits no object.
    pub(crate) fn unprocessable() -> Self {
        Self::new(422, "Invalid", "the server rejected our request due to an error in our request")
            .with_details(json!({}))
    }

    pub(crate) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    pub(crate) fn object_too_large() -> Self {
        Self::new(500, "", "etcdserver: request is too large")
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// The Status object of this refusal.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut status = Map::new();
        status.insert("kind".into(), "Status".into());
        status.insert("apiVersion".into(), "v1".into());
        status.insert("metadata".into(), json!({}));
        status.insert("status".into(), "Failure".into());
        status.insert("message".into(), self.message.clone().into());
        if !self.reason.is_empty() {
            status.insert("reason".into(), self.reason.into());
        }
        if let Some(details) = &self.details {
            status.insert("details".into(), (**details).clone());
        }
        status.insert("code".into(), self.code.into());
        Value::Object(status)
    }
}

fn qualified(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut map = Map::new();
    if !name.is_empty() {
        map.insert("name".into(), name.into());
    }
    if !group.is_empty() {
        map.insert("group".into(), group.into());
    }
    map.insert("kind".into(), kind.into());
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_lists_each_text_once_and_every_cause() {
        let one = FieldError::required("spec.code", "");
        let error = StatusError::invalid("carrel.dev", "CodeExecution", "x", &[one.clone(), one]);
        assert_eq!(error.message, "CodeExecution.carrel.dev \"x\" is invalid: spec.code: Required value");
        assert_eq!(error.to_value()["details"]["causes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_refusal_without_a_reason_leaves_the_field_out() {
        assert!(StatusError::object_too_large().to_value().get("reason").is_none());
    }
}
