//! Who gets a token, and that nobody loses one.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[test]
fn each_identity_gets_one_token_and_keeps_what_it_has() {
    let fresh = || Ok::<_, Infallible>("new".to_owned());
    let Completed { all, new } = completed(Map::new(), &names(&["a", "b", "a"]), fresh).unwrap().unwrap();
    assert_eq!((all, new), (object(&json!({ "a": "new", "b": "new" })), 2));
    let old = object(&json!({ "a": "old", "b": ["one", "two"], "gone": "stays" }));
    assert!(completed(old.clone(), &names(&["a", "b"]), fresh).unwrap().is_none());
    let Completed { all: more, new } = completed(old, &names(&["b", "c"]), fresh).unwrap().unwrap();
    assert_eq!(more, object(&json!({ "a": "old", "b": ["one", "two"], "c": "new", "gone": "stays" })));
    assert_eq!(new, 1, "those that were there are none of them");
}

#[test]
fn a_token_is_long_random_and_fit_for_a_header() {
    let (one, other) = (random().unwrap(), random().unwrap());
    assert_eq!(one.len(), 43);
    assert!(one != other && one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
}

#[test]
fn a_secret_of_another_form_is_an_error_that_does_not_quote_it() {
    let of = |content: &str| tokens(&secrets::secret("s", ENTRY, content.as_bytes().to_vec()));
    assert_eq!(of(r#"{"a": "t"}"#).unwrap(), object(&json!({ "a": "t" })));
    assert_eq!(tokens(&Secret::default()).unwrap(), Map::new());
    for content in [r#""hunter2""#, "hunter2", r#"["hunter2"]"#, ""] {
        let error = of(content).unwrap_err();
        assert!(!telemetry::with_causes(&error).contains("hunter2"), "{error}");
    }
}

/// An API with one Secret, which somebody else changes just before it is patched first.
#[derive(Default)]
struct Contended {
    secret: Option<Value>,
    patches: usize,
    /// It answers nothing but this.
    refuses: Option<u16>,
}

impl Contended {
    fn answer(&mut self, method: &Method, body: &Value) -> (u16, Value) {
        let (wanted, version) = (&body["data"][ENTRY], &body["metadata"]["resourceVersion"]);
        if let Some(code) = self.refuses {
            return refusal(code);
        }
        match (method.as_str(), self.secret.is_some()) {
            ("POST", false) => {
                self.secret = Some(stored(wanted, 1));
                (201, stored(wanted, 1))
            }
            ("GET", true) => (200, self.secret.clone().unwrap()),
            ("PATCH", true) => {
                self.patches += 1;
                if self.patches == 1 {
                    self.secret = Some(stored(&encoded(&json!({ "a": "old", "b": "theirs" })), 2));
                }
                if *version != self.secret.as_ref().unwrap()["metadata"]["resourceVersion"] {
                    return refusal(409);
                }
                self.secret = Some(stored(wanted, 3));
                (200, stored(wanted, 3))
            }
            _ => refusal(404),
        }
    }

    fn tokens(&self) -> Map<String, Value> {
        tokens(&serde_json::from_value(self.secret.clone().unwrap()).unwrap()).unwrap()
    }
}

fn encoded(tokens: &Value) -> Value {
    json!(ByteString(tokens.to_string().into_bytes()))
}

fn stored(content: &Value, version: i32) -> Value {
    let metadata = json!({ "name": "s", "resourceVersion": version.to_string() });
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": { ENTRY: content } })
}

fn refusal(code: u16) -> (u16, Value) {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        _ => "Conflict",
    };
    (
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code }),
    )
}

async fn ensure_in(api: &Arc<Mutex<Contended>>, identities: &[&str]) -> Result<(), FrontTokensError> {
    ensure(client(api), "ns", &wanted(identities)).await
}

fn wanted(identities: &[&str]) -> FrontTokens {
    FrontTokens { secret: "s".to_owned(), identities: names(identities) }
}

fn client(api: &Arc<Mutex<Contended>>) -> Client {
    let state = Arc::clone(api);
    let service = tower::service_fn(move |request: Request<Body>| {
        let state = Arc::clone(&state);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (code, answer) = state.lock().unwrap().answer(&head.method, &body);
            let answer = Body::from(answer.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
        }
    });
    Client::new(service, "ns")
}

#[tokio::test]
async fn a_secret_is_made_once_and_read_from_then_on() {
    let api = Arc::new(Mutex::new(Contended::default()));
    ensure_in(&api, &["a", "b"]).await.unwrap();
    let first = api.lock().unwrap().tokens();
    assert_eq!(first.len(), 2);
    ensure_in(&api, &["a"]).await.unwrap();
    let api = api.lock().unwrap();
    assert_eq!((api.tokens(), api.patches), (first, 0));
}

#[tokio::test]
async fn what_somebody_else_writes_meanwhile_stays() {
    let secret = Some(stored(&encoded(&json!({ "a": "old" })), 1));
    let api = Arc::new(Mutex::new(Contended { secret, ..Contended::default() }));
    ensure_in(&api, &["a", "b", "c"]).await.unwrap();
    let api = api.lock().unwrap();
    let tokens = api.tokens();
    assert_eq!((&tokens["a"], &tokens["b"]), (&json!("old"), &json!("theirs")));
    assert_eq!((tokens["c"].as_str().unwrap().len(), api.patches), (43, 2));
}

fn keeper(api: &Arc<Mutex<Contended>>) -> Keeper {
    let (namespace, trouble) = ("ns".to_owned(), Trouble::default());
    Keeper { client: client(api), namespace, wanted: wanted(&["a"]), trouble, failures: 0 }
}

#[tokio::test]
async fn what_a_person_has_written_wrongly_stays_is_told_of_and_is_completed_once_it_is_mended() {
    let wrong = stored(&json!(ByteString(b"{\"a\": \"hunter2\",}".to_vec())), 1);
    let api = Arc::new(Mutex::new(Contended { secret: Some(wrong.clone()), ..Contended::default() }));
    let mut keeper = keeper(&api);
    for _ in 0..3 {
        assert_eq!(keeper.look().await, SOON);
        let told = keeper.trouble.check().unwrap_err();
        assert!(told.contains("tokens.json") && told.contains("correct it"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    assert_eq!(api.lock().unwrap().secret, Some(wrong));
    api.lock().unwrap().secret = Some(stored(&encoded(&json!({ "b": "theirs" })), 2));
    assert_eq!(keeper.look().await, AGAIN);
    assert_eq!(keeper.trouble.check(), Ok(()));
    assert!(api.lock().unwrap().tokens().contains_key("a"));
}

#[tokio::test]
async fn a_secret_that_is_deleted_is_made_again() {
    let api = Arc::new(Mutex::new(Contended::default()));
    let mut keeper = keeper(&api);
    assert_eq!(keeper.look().await, AGAIN);
    let first = api.lock().unwrap().secret.take().expect("a Secret");
    assert_eq!(keeper.look().await, AGAIN);
    let again = api.lock().unwrap().secret.clone().expect("another one");
    assert_ne!(first, again);
}

#[tokio::test]
async fn an_api_that_refuses_is_told_of_when_it_goes_on_doing_so() {
    let api = Arc::new(Mutex::new(Contended { refuses: Some(403), ..Contended::default() }));
    let mut keeper = keeper(&api);
    keeper.look().await;
    assert_eq!(keeper.trouble.check(), Ok(()), "it may have started just now");
    keeper.look().await;
    assert!(keeper.trouble.check().is_err());
    api.lock().unwrap().refuses = None;
    keeper.look().await;
    assert_eq!(keeper.trouble.check(), Ok(()));
}
