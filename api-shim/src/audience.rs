//! Which tokens are certainly for somebody else: pure. What a token says of itself is not verified here, so it can only
//! keep a token out, and saves the API a question.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// How the subject of a service account's token begins.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// What matters here of what a JSON Web Token claims.
#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    aud: Audiences,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Several(Vec<String>),
}

/// Whether a token says of itself that it is a service account's and not for `audience`. Of other users' tokens the
/// API server decides by its own settings which audience they are for, whatever they claim.
pub(crate) fn is_for_others(token: &str, audience: &str) -> bool {
    claims(token).is_some_and(|Claims { sub, aud }| {
        let for_us = match &aud {
            Audiences::One(only) => only == audience,
            Audiences::Several(all) => all.iter().any(|one| one == audience),
        };
        sub.starts_with(SERVICE_ACCOUNT) && !for_us
    })
}

/// `header.claims.signature`.
fn claims(token: &str) -> Option<Claims> {
    let (_, rest) = token.split_once('.')?;
    let (claims, _) = rest.split_once('.')?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn a_service_accounts_token_for_others_is_known_by_what_it_says() {
        let of = |aud: Value| token(&json!({"sub": "system:serviceaccount:a:b", "aud": aud}));
        assert!(is_for_others(&of(json!(["https://kubernetes.default.svc"])), "carrel"));
        assert!(is_for_others(&of(json!("other")), "carrel"));
        assert!(is_for_others(&of(json!([])), "carrel"));
        assert!(!is_for_others(&of(json!(["other", "carrel"])), "carrel"));
        assert!(!is_for_others(&of(json!("carrel")), "carrel"));
    }

    #[test]
    fn of_everything_else_the_api_has_to_decide() {
        for token in [
            token(&json!({"sub": "alice@example.com", "aud": "a-client"})),
            token(&json!({"sub": "system:serviceaccount:a:b"})),
            token(&json!({"sub": "system:serviceaccount:a:b", "aud": 7})),
            "abcdef.0123456789abcdef".to_owned(),
            "a.b.c".to_owned(),
            String::new(),
        ] {
            assert!(!is_for_others(&token, "carrel"), "{token}");
        }
    }
}
