//! The reviews that clients create and nobody stores: whose token is this, and may I do that.

use serde_json::{Value, json};

use crate::api::{
    core::Core,
    decode::decode,
    respond::{Answer, Reply},
    status_error::Result,
};

/// Answers a review of a token or of access; `None` when the path is neither.
pub(crate) fn run(core: &Core, path: &str, body: &[u8], content_type: &str) -> Option<Result<Answer>> {
    let answer: fn(&Core, &Value) -> Value = match path {
        "/apis/authentication.k8s.io/v1/tokenreviews" => token,
        "/apis/authorization.k8s.io/v1/subjectaccessreviews" => access,
        // Whoever came this far may do everything, whatever is asked; kubectl asks in protobuf.
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
            let review = json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
                "metadata": {}, "spec": {}, "status": {"allowed": true}});
            return Some(Ok(Answer { reply: Reply::Plain(review), code: 201, warnings: vec![] }));
        }
        _ => return None,
    };
    Some(decode("Review", body, content_type).map(|decoded| {
        let mut value = decoded.value;
        let status = answer(core, &value);
        if let Some(map) = value.as_object_mut() {
            map.insert("status".to_owned(), status);
        }
        Answer { reply: Reply::Plain(value), code: 201, warnings: vec![] }
    }))
}

fn token(core: &Core, review: &Value) -> Value {
    let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
    if core.credentials.accepts(token) {
        json!({"authenticated": true, "user": {"username": "carrel-admin", "groups": ["system:authenticated"]},
            "audiences": review.pointer("/spec/audiences")})
    } else {
        json!({"authenticated": false, "user": {}})
    }
}

/// The API knows one user, who may do everything.
fn access(_: &Core, _: &Value) -> Value {
    json!({"allowed": true})
}
