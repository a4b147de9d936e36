//! Runs a table against a server and notes the answers.

use std::time::{Duration, Instant};

use http::Request;
use kube::client::Body;
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::{
    normal::{self, Names},
    server::Server,
    table::{Step, Table},
};

/// How long a step with `until` asks again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs all steps in a fresh namespace. The answer has one member for each step, by its name.
pub(crate) async fn run(table: &Table, server: &Server) -> Map<String, Value> {
    let ns = format!("parity-{}", uuid::Uuid::new_v4().simple());
    let mut names = Names::from([("ns".to_owned(), ns.clone())]);
    let made = server.kubectl(&["create", "namespace", &ns], "").await;
    assert_eq!(made.exit, 0, "{}", made.stderr);
    let mut answers = Map::new();
    for step in &table.steps {
        let answer = answer(step, server, &mut names).await;
        assert!(answers.insert(step.name.clone(), answer).is_none(), "two steps are called {:?}", step.name);
    }
    let gone = server.kubectl(&["delete", "namespace", &ns, "--wait=false"], "").await;
    assert_eq!(gone.exit, 0, "{}", gone.stderr);
    answers
}

async fn answer(step: &Step, server: &Server, names: &mut Names) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, raw) = match (&step.send, &step.kubectl) {
            (Some(request), None) => send(step, request, server, names).await,
            (None, Some(line)) => kubectl(step, line, server, names).await,
            _ => panic!("{:?} needs exactly one of send, kubectl", step.name),
        };
        if step.until.is_some_and(|wanted| wanted != code) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        for (name, pointer) in &step.save {
            let saved =
                raw.pointer(pointer).unwrap_or_else(|| panic!("{:?} has no {pointer}: {raw}", step.name));
            names.insert(name.clone(), saved.as_str().map_or_else(|| saved.to_string(), str::to_owned));
        }
        let compared = compared(step, raw, names);
        return json!({"code": code, "answer": compared});
    }
}

/// What of an answer is compared.
fn compared(step: &Step, raw: Value, names: &Names) -> Value {
    if step.only_code {
        return Value::Null;
    }
    let mut all = normal::value(raw, names);
    for pointer in &step.ignore {
        normal::remove(&mut all, pointer);
    }
    match &step.only {
        None => all,
        Some(pointers) => {
            pointers.iter().map(|one| (one.clone(), all.pointer(one).cloned().unwrap_or_default())).collect()
        }
    }
}

async fn send(step: &Step, request: &str, server: &Server, names: &Names) -> (u16, Value) {
    let request = normal::filled(request, names);
    let (method, path) = request.split_once(' ').unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", &step.media)
        .header("accept", &step.accept);
    for (name, value) in &step.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(body(step, names))).unwrap();
    let client = match &step.token {
        None => server.client.clone(),
        Some(token) => server.stranger(token).await,
    };
    let response = client.send(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect_bytes().await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let parsed = if path.contains("watch=") && code == 200 {
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
        json!({"events": events.filter(|event| !may_come(event)).collect::<Vec<Value>>()})
    } else {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    (code, parsed)
}

fn body(step: &Step, names: &Names) -> Vec<u8> {
    let mut body = match (&step.body, &step.text) {
        (Some(body), None) => serde_json::from_str(&normal::filled(&body.to_string(), names)).unwrap(),
        (None, Some(text)) => return normal::filled(text, names).into_bytes(),
        (None, None) => return Vec::new(),
        (Some(_), Some(_)) => panic!("{:?} has body and text", step.name),
    };
    for (pointer, count) in &step.fill {
        let letter = if *count < 0 { "\u{e9}" } else { "x" };
        let text = letter.repeat(usize::try_from(count.unsigned_abs()).unwrap());
        *Value::pointer_mut(&mut body, pointer).unwrap() = Value::String(text);
    }
    body.to_string().into_bytes()
}

/// Words are split at spaces; a word may be put in single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

async fn kubectl(step: &Step, line: &str, server: &Server, names: &Names) -> (u16, Value) {
    let words = words(&normal::filled(line, names));
    let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
    args.extend(["--namespace", &names["ns"]]);
    let input = step.text.as_deref().map(|text| normal::filled(text, names)).unwrap_or_default();
    let said = server.kubectl_with(&args, &input, step.editor.as_deref()).await;
    let mut shown = normal::text(&said.stdout, names);
    if let Some(wanted) = &step.lines {
        let wanted = Regex::new(wanted).unwrap();
        shown = shown.lines().filter(|line| wanted.is_match(line)).collect::<Vec<_>>().join("\n");
    }
    let answer = json!({"stdout": shown, "stderr": normal::text(&said.stderr, names)});
    (u16::try_from(said.exit).unwrap_or(u16::MAX), answer)
}

/// Whether a server may send this event at any time or not at all: a bookmark that is not the end of the initial events.
/// A real API server sends one shortly before a watch ends, when a tick of its clock falls there.
fn may_come(event: &Value) -> bool {
    event.pointer("/type").is_some_and(|kind| kind == "BOOKMARK")
        && event.pointer("/object/metadata/annotations").is_none()
}
