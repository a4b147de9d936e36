//! Takes out of an answer what differs from run to run, so that two servers' answers can be compared.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static UID: LazyLock<Regex> =
    LazyLock::new(|| pattern("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
static TIME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"));
static LONG_TIME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"));
static AGE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(<invalid>|\b\d+(\.\d+)?(ms|s|m|h|d)(\d+(s|m|h))?\b)"));
static SPACES: LazyLock<Regex> = LazyLock::new(|| pattern(" {2,}"));
static GENERATED: LazyLock<Regex> = LazyLock::new(|| pattern("generated-[bcdfghjklmnpqrstvwxz2456789]{5}"));
static EDITED: LazyLock<Regex> = LazyLock::new(|| pattern(r"kubectl-edit-\d+"));
static VERSION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(resourceVersion"?: ?"?|Resource Version: +)\d+"?"#));

/// What stands for what in one table's run: `$ns` and what was saved.
pub(crate) type Names = BTreeMap<String, String>;

/// A text with the names put in.
pub(crate) fn filled(text: &str, names: &Names) -> String {
    // The longest first: `$version2` is not `$version` and a 2.
    let mut keys: Vec<&String> = names.keys().collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    keys.into_iter().fold(text.to_owned(), |text, key| text.replace(&format!("${key}"), &names[key]))
}

/// A text with the names taken out again.
fn bare(text: &str, names: &Names) -> String {
    let text = names
        .iter()
        .filter(|(_, value)| value.len() > 3)
        .fold(text.to_owned(), |text, (key, value)| text.replace(value, &format!("${key}")));
    let text = UID.replace_all(&text, "<uid>");
    let text = GENERATED.replace_all(&text, "generated-<suffix>");
    TIME.replace_all(&text, "<time>").into_owned()
}

/// What a person reads: also without ages, versions and the widths of columns.
pub(crate) fn text(text: &str, names: &Names) -> String {
    let text = bare(text, names);
    let text = LONG_TIME.replace_all(&text, "<time>");
    let text = VERSION.replace_all(&text, "${1}<version>");
    let text = EDITED.replace_all(&text, "kubectl-edit-<number>");
    let text = AGE.replace_all(&text, "<age>");
    let mut lines: Vec<String> =
        text.lines().map(|line| SPACES.replace_all(line.trim_end(), "  ").into_owned()).collect();
    // The server finds the faults of an object in no order.
    lines
        .chunk_by_mut(|one, other| one.starts_with("* ") && other.starts_with("* "))
        .for_each(<[String]>::sort);
    lines.join("\n")
}

/// An answer without what differs from run to run.
pub(crate) fn value(value: Value, names: &Names) -> Value {
    match value {
        Value::String(text) => Value::String(bare(&text, names)),
        Value::Array(all) => all.into_iter().map(|one| self::value(one, names)).collect(),
        Value::Object(all) => {
            let kept = all.into_iter().filter(|(key, _)| key != "managedFields");
            let mut all = kept.map(|(key, value)| (key.clone(), member(&key, value, names))).collect();
            sort_causes(&mut all);
            all
        }
        other => other,
    }
}

/// The server lists its resources in no order.
fn sorted(resources: Value) -> Value {
    let Value::Array(mut all) = resources else { return resources };
    all.sort_by_key(|one| one.get("name").map(ToString::to_string));
    Value::Array(all)
}

/// The server finds the faults of an object in no order. They are sorted, and taken out of the message once they
/// are seen to be in it.
fn sort_causes(status: &mut Value) {
    let Some(causes) = status.pointer_mut("/details/causes").and_then(Value::as_array_mut) else { return };
    causes.sort_by_key(ToString::to_string);
    let texts: Vec<String> = causes.iter().filter_map(cause).collect();
    let Some(Value::String(message)) = status.get_mut("message") else { return };
    for text in texts {
        *message = message.replacen(&text, "<cause>", 1);
    }
}

fn cause(cause: &Value) -> Option<String> {
    Some(format!("{}: {}", cause.get("field")?.as_str()?, cause.get("message")?.as_str()?))
}

fn member(key: &str, value: Value, names: &Names) -> Value {
    match (key, &value) {
        ("resourceVersion", Value::String(version)) if !version.is_empty() => "<version>".into(),
        ("continue", Value::String(token)) if !token.is_empty() => "<continue>".into(),
        ("cells", Value::Array(cells)) => cells.iter().map(|one| cell(one, names)).collect(),
        ("resources", Value::Array(_)) => sorted(self::value(value, names)),
        _ => self::value(value, names),
    }
}

/// A cell of a table: it may be an age.
fn cell(cell: &Value, names: &Names) -> Value {
    match cell {
        Value::String(text) => AGE.replace_all(&bare(text, names), "<age>").into(),
        other => other.clone(),
    }
}

/// Removes the part that a JSON pointer names; `*` is every entry of a list.
pub(crate) fn remove(value: &mut Value, pointer: &str) {
    let Some((first, rest)) = pointer.trim_start_matches('/').split_once('/') else {
        if let Some(object) = value.as_object_mut() {
            object.remove(&pointer.trim_start_matches('/').replace("~1", "/"));
        }
        return;
    };
    match value {
        Value::Array(all) if first == "*" => all.iter_mut().for_each(|one| remove(one, rest)),
        Value::Array(all) => {
            if let Some(one) = first.parse::<usize>().ok().and_then(|at| all.get_mut(at)) {
                remove(one, rest);
            }
        }
        Value::Object(all) => {
            if let Some(one) = all.get_mut(&first.replace("~1", "/")) {
                remove(one, rest);
            }
        }
        _ => {}
    }
}
