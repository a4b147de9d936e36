//! The scale subresource: autoscaling/v1 Scale over the paths that the definition names.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value, json};

use crate::api::{
    admission,
    core::Core,
    decode::decode,
    kinds::{Kind, ScalePaths},
    respond::{Answer, Reply},
    status_error::{Result, StatusError},
    store::Object,
    verbs::{
        Part, Request, api_verb, patch,
        write::{ATTEMPTS, Change, check_identity, merge, store},
    },
};

pub(super) async fn run(core: &Arc<Core>, method: &Method, request: &Request) -> Result<Answer> {
    let kind = &request.target.kind;
    let paths = kind.scale().ok_or_else(StatusError::no_such_path)?;
    let name = request.object_name();
    if method == Method::GET {
        let object = core.get(kind, &name)?;
        return Ok(Answer::ok(Reply::Scale(scale_of(paths, &object))));
    }
    let options = match *method {
        Method::PUT => "UpdateOptions",
        Method::PATCH => "PatchOptions",
        _ => return Err(StatusError::method_not_supported(kind, api_verb(method, &request.target))),
    };
    let dry_run = request.params.dry_run(options)?;
    for _ in 0..ATTEMPTS {
        let old = core.get(kind, &name)?;
        let wanted = wanted(kind, paths, method, request, &old)?;
        let replicas = wanted.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
        let versioned = check_identity(kind, &old, &wanted, Change::Scale)?;
        let mut candidate = old.value.clone();
        put(&mut candidate, &paths.spec_replicas, json!(replicas));
        let next = merge(kind, &old.value, candidate, Part::Main);
        admission::validate(kind, &next, Some(&old.value), Part::Main)?;
        if dry_run {
            return Ok(Answer::ok(Reply::Scale(scale_of(paths, &Object::stamp(next, old.version)))));
        }
        match store(core, kind, &old, next).await {
            Ok(object) => return Ok(Answer::ok(Reply::Scale(scale_of(paths, &object)))),
            Err(refused) if refused.raced && (!versioned || method == Method::PATCH) => {}
            Err(refused) => return Err(refused.status),
        }
    }
    Err(StatusError::conflict(kind, &name.name))
}

/// The Scale object that the client asks for.
fn wanted(
    kind: &Kind,
    paths: &ScalePaths,
    method: &Method,
    request: &Request,
    old: &Object,
) -> Result<Value> {
    if method == Method::PUT {
        return Ok(decode("Scale", &request.body, &request.content_type)?.value);
    }
    let (patch, _) = patch::parse(kind, request)?;
    patch::apply(kind, &patch, &scale_of(paths, old))
}

fn scale_of(paths: &ScalePaths, object: &Object) -> Value {
    let number = |path: &[String]| find(&object.value, path).and_then(Value::as_i64).unwrap_or(0);
    let mut status = Map::new();
    status.insert("replicas".to_owned(), json!(number(&paths.status_replicas)));
    let selector = paths.label_selector.as_ref().and_then(|path| find(&object.value, path));
    if let Some(selector) = selector {
        status.insert("selector".to_owned(), selector.clone());
    }
    let metadata = |field: &str| object.value.get("metadata").and_then(|meta| meta.get(field));
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": object.name(), "namespace": object.namespace(), "uid": object.uid(),
            "resourceVersion": object.version.to_string(), "creationTimestamp": metadata("creationTimestamp")},
        "spec": {"replicas": number(&paths.spec_replicas)}, "status": status})
}

fn find<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| value.get(step))
}

fn put(value: &mut Value, path: &[String], new: Value) {
    let Some((last, above)) = path.split_last() else { return };
    let mut node = value;
    for step in above {
        let Some(map) = node.as_object_mut() else { return };
        node = map.entry(step.as_str()).or_insert_with(|| json!({}));
    }
    if let Some(map) = node.as_object_mut() {
        map.insert(last.clone(), new);
    }
}
